// SPDX-License-Identifier: MIT
/* GEM objects that were exported before, that leave while they are adopted, that are asked about. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake_drm.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

static int teardown(void **state)
{
	assert_int_equal(fake_drm.nr_files, 0);
	return fake_teardown(state);
}

static void new_gem_exported_otherwise_before(void **state)
{
	struct p2pdma_buffer_options read_only = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *first = NULL, *second = NULL;
	uint32_t handle = 0;
	int fd;

	read_only.flags = P2PDMA_BUFFER_READ_ONLY;
	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	/* Its DMABUF is there already, and is written through by whoever has it. */
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &first), 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, &read_only, &second),
			 -EOPNOTSUPP);
	assert_cause("was exported for writing before");
	assert_null(second);
	p2pdma_buffer_free(first);
	/* And the other way round. */
	first = NULL;
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, &read_only, &first), 0);
	assert_int_equal(fcntl(p2pdma_buffer_fd(first), F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &second), -EOPNOTSUPP);
	assert_cause("was exported read-only before");
	fake_fail(FAKE_MODE, -EBADF, 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, &read_only, &second), -EBADF);
	assert_null(second);
	p2pdma_buffer_free(first);
	fake_sys.close(fd);
}

static void remove_gpu(void)
{
	fake_remove_function(FAKE_DRM_FUNCTION);
}

static void new_gem_as_its_function_leaves(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = NULL;
	uint32_t handle = 0;
	int fd;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	/* The last stat is that of the DMABUF, when the function is known already. */
	fake_happen(FAKE_STAT, remove_gpu, 3);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_GONE);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_DEVICE_GONE);
	fake_no_event();
	fake_sys.close(fd);
	p2pdma_buffer_free(buffer);
}

struct asked {
	struct p2pdma_buffer *buffer;
	struct p2pdma_buffer_status status;
};

static void *ask_all(void *data)
{
	struct asked *asked = data;
	struct p2pdma_mr *mr = NULL;
	bool is_right;

	is_right = !p2pdma_buffer_query(asked->buffer, &asked->status) &&
		   !p2pdma_mr_register(fake_pd(), asked->buffer, 0, MIB, 0, ACCESS, &mr) &&
		   !p2pdma_mr_deregister(mr);
	return is_right ? NULL : asked;
}

/* While a device is opened, which may take seconds, what doesn't block doesn't wait for it. */
static void query_and_register_wait_for_no_open(void **state)
{
	struct asked asked = {.status = P2PDMA_BUFFER_STATUS_INIT};
	struct timespec deadline;
	void *wrong = NULL;
	pthread_t thread;
	uint32_t handle = 0;
	int fd, r;

	fake_drm_add("amdgpu");
	fd = fake_drm_node(FAKE_DRM_RENDER);
	assert_int_equal(fake_drm_make(fd, MIB, FAKE_PLACE_DEVICE, &handle), 0);
	assert_int_equal(p2pdma_buffer_new_gem(*state, fd, handle, NULL, &asked.buffer), 0);
	pthread_mutex_lock(&fake_context()->open_lock);
	assert_int_equal(pthread_create(&thread, NULL, ask_all, &asked), 0);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 5;
	r = pthread_timedjoin_np(thread, &wrong, &deadline);
	pthread_mutex_unlock(&fake_context()->open_lock);
	if (r)
		pthread_join(thread, &wrong);
	assert_int_equal(r, 0);
	assert_null(wrong);
	assert_true(asked.status.flags & P2PDMA_STATUS_PLACED);
	fake_sys.close(fd);
	p2pdma_buffer_free(asked.buffer);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, fake_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(new_gem_exported_otherwise_before),
		CASE(new_gem_as_its_function_leaves),
		CASE(query_and_register_wait_for_no_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
