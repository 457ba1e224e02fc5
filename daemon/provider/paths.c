// SPDX-License-Identifier: MIT
/*
 * How far providers are from importers, for backends whose kernel part doesn't say.
 *
 * Each user who may lease may ask for the distance of all providers with each request, and to look
 * at sysfs for that takes longer than all the rest of a request: others would wait. So what was seen
 * of the functions is kept for a second, or until a uevent says that something has changed; however
 * many ask, each function is looked at once in that time. The processor stays the same.
 */
#include "common/clock.h"
#include "common/path.h"
#include "paths.h"

/* A process has one. */
static struct {
	struct pci_tree tree;
	uint64_t since_ns;
	bool is_there;
	bool has_cpu;
	enum path_answer cpu;
} seen;

void paths_forget(void)
{
	if (seen.is_there)
		pci_tree_done(&seen.tree);
	seen.is_there = false;
}

int paths_distance(int sysfs_fd, const struct pci_address *provider,
		   const struct pci_address *importer, int32_t *ret_distance)
{
	uint64_t now_ns = clock_now_ns();

	if (!seen.has_cpu)
		seen.cpu = path_cpu_here();
	seen.has_cpu = true;
	if (now_ns - seen.since_ns >= NS_PER_S)
		paths_forget();
	if (!seen.is_there) {
		pci_tree_init(&seen.tree);
		seen.since_ns = now_ns;
		seen.is_there = true;
	}
	return path_distance_in(&seen.tree, sysfs_fd, seen.cpu, provider, importer, ret_distance);
}
