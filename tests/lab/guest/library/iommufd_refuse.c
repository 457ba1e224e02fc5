// SPDX-License-Identifier: MIT
/*
 * iommufd_refuse PROVIDER EDU OTHER: mappings by iommufd that can't be, and what the library says of
 * them. OTHER is a provider of p2pdma_export, whose DMABUFs iommufd doesn't take.
 */
#include "library/iommufd.h"

static bool says(const char *text)
{
	printf("# %s\n", p2pdma_context_error(context));
	return strstr(p2pdma_context_error(context), text);
}

/* Another descriptor, addresses that are taken, and some that the space hasn't. */
static void addresses(struct p2pdma_buffer *buffer)
{
	struct p2pdma_iommufd_attr attr = {
		.size_bytes = sizeof(attr),
		.flags = P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_FIXED_IOVA,
		.iommufd = open("/dev/null", O_RDWR | O_CLOEXEC),
		.ioas_id = ioas,
		.length_bytes = SLICE,
		.iova = BAR_IOVA,
	};
	struct p2pdma_iommufd_mapping *mapping = NULL, *again = NULL;
	int r;

	r = p2pdma_iommufd_map(buffer, &attr, &mapping);
	tap_ok(r == -EOPNOTSUPP && says("is no iommufd (/dev/iommu) but null"),
	       "another_descriptor_is_said_to_be_no_iommufd", r);
	close(attr.iommufd);
	attr.iommufd = iommufd;
	attr.iova = 1ULL << 60;
	r = p2pdma_iommufd_map(buffer, &attr, &mapping);
	tap_ok(r == -EINVAL && says("are outside the addresses of the space"),
	       "an_iova_outside_of_the_space_is_said_so", r);
	attr.iova = BAR_IOVA;
	must(p2pdma_iommufd_map(buffer, &attr, &mapping), "mapping a slice to read");
	r = p2pdma_iommufd_map(buffer, &attr, &again);
	tap_ok(r == -EADDRINUSE && says("is mapped already in"), "an_iova_that_is_taken_is_said_so",
	       r);
	must(p2pdma_iommufd_unmap(mapping), "unmapping");
}

/* Pieces of pages, what is beyond the end, writing to what is read-only. */
static void ranges_and_rights(void)
{
	struct p2pdma_buffer *one = new_buffer(provider, 1);
	struct p2pdma_buffer *read_only = new_buffer_for(provider, 1, P2PDMA_BUFFER_READ_ONLY);
	struct ioas_map_file map = map_of_slice();
	struct p2pdma_iommufd_mapping *mapping;
	int r;

	map.length = PAGE / 2;
	by_hand(one, &map, -EINVAL, P2PDMA_CAUSE_RANGE, "half_a_page_is_said_so");
	map.length = SLICE;
	map.start = PAGE;
	by_hand(one, &map, -EINVAL, P2PDMA_CAUSE_RANGE, "beyond_the_end_is_said_so");
	map.start = 0;
	map.iova = BAR_IOVA + PAGE / 2;
	by_hand(one, &map, -EINVAL, P2PDMA_CAUSE_IOVA, "an_iova_in_a_page_is_said_so");
	/* The kernel doesn't look at this one. */
	r = map_slice(read_only, P2PDMA_IOMMUFD_WRITE, NULL, &mapping);
	tap_ok(r == -EACCES && says("read-only"), "writing_is_said_to_be_the_fault", r);
	r = map_slice(read_only, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(!r, "reading_helps", r);
	must(p2pdma_iommufd_unmap(mapping), "unmapping");
	p2pdma_buffer_free(read_only);
	p2pdma_buffer_free(one);
}

static void refusals(struct p2pdma_provider *other)
{
	struct p2pdma_buffer *two = new_buffer(provider, 2), *export = new_buffer(other, 1);
	struct ioas_map_file map = map_of_slice();
	struct p2pdma_iommufd_mapping *mapping;
	int r;

	r = map_slice(two, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(r == -EOPNOTSUPP && strstr(p2pdma_context_error(context), "has 2"),
	       "two_ranges_are_refused_with_their_number", r);
	map.fd = p2pdma_buffer_fd(two);
	r = call(iommufd, IOAS_MAP_FILE, &map);
	tap_ok(r == -EOPNOTSUPP, "and_so_they_are_by_the_kernel", r);
	r = map_slice(export, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(r == -EOPNOTSUPP && strstr(p2pdma_context_error(context), "vfio-pci"),
	       "a_dmabuf_of_p2pdma_export_is_refused_with_advice", r);
	map.fd = p2pdma_buffer_fd(export);
	r = call(iommufd, IOAS_MAP_FILE, &map);
	tap_ok(r == -EOPNOTSUPP, "and_so_it_is_by_the_kernel", r);
	ioas += 1000;
	p2pdma_buffer_free(two);
	two = new_buffer(provider, 1);
	r = map_slice(two, P2PDMA_IOMMUFD_READ, NULL, &mapping);
	tap_ok(r == -ENOENT && says("has no address space"), "no_such_address_space_enoent", r);
	ioas -= 1000;
	addresses(two);
	p2pdma_buffer_free(two);
	p2pdma_buffer_free(export);
}

int main(int argc, char **argv)
{
	struct p2pdma_provider *other;

	if (argc < 4)
		die(0, "usage: iommufd_refuse PROVIDER EDU OTHER");
	open_all(argv[1], argv[2]);
	must(p2pdma_provider_find(context, argv[3], &other), argv[3]);
	open_edu();
	refusals(other);
	ranges_and_rights();
	p2pdma_provider_unref(other);
	close_all();
	return tap_done();
}
