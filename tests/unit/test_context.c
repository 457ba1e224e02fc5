// SPDX-License-Identifier: MIT
/* Contexts: options, causes by thread, messages, the order of ends. */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "fake.h"

static void open_null_place_einval(void **state)
{
	(void)state;
	assert_int_equal(p2pdma_context_open(NULL, NULL), -EINVAL);
	assert_non_null(strstr(p2pdma_context_error(NULL), "no place"));
}

static int try_options(uint32_t size, uint32_t flags, uint32_t level, uint32_t timeout)
{
	struct p2pdma_context_options options = {size, flags, level, timeout, NULL, NULL};
	struct p2pdma_context *opened = NULL;
	int r = p2pdma_context_open(&options, &opened);

	p2pdma_context_close(opened);
	return r;
}

static void open_bad_options_einval(void **state)
{
	uint32_t size = sizeof(struct p2pdma_context_options);

	(void)state;
	assert_int_equal(try_options(4, 0, 0, 0), -EINVAL);
	assert_int_equal(try_options(size, 1U << 31, 0, 0), -EINVAL);
	assert_int_equal(try_options(size, 0, P2PDMA_LOG_DEBUG + 1, 0), -EINVAL);
	assert_int_equal(try_options(size, P2PDMA_CONTEXT_DIRECT, 0, 1), 0);
}

static void open_future_options_e2big(void **state)
{
	struct {
		struct p2pdma_context_options options;
		uint64_t future;
	} big = {P2PDMA_CONTEXT_OPTIONS_INIT, 1};
	struct p2pdma_context *opened = NULL;

	(void)state;
	big.options.size_bytes = sizeof(big);
	assert_int_equal(p2pdma_context_open(&big.options, &opened), -E2BIG);
	assert_null(opened);
}

static void open_without_sysfs_enoent(void **state)
{
	struct context_roots roots = {
		.sys = &fake_sys, .verbs = &fake_verbs, .sysfs = "/nonexistent/sys", .dev = "/dev"};
	struct p2pdma_context *opened = NULL;

	(void)state;
	assert_int_equal(context_open(NULL, &roots, &opened), -ENOENT);
	assert_non_null(strstr(p2pdma_context_error(NULL), "/nonexistent/sys"));
	assert_null(opened);
}

static void open_real_machine_works(void **state)
{
	struct p2pdma_context *opened = NULL;

	(void)state;
	assert_int_equal(p2pdma_context_open(NULL, &opened), 0);
	assert_true(p2pdma_context_fd(opened) >= 0);
	p2pdma_context_close(opened);
}

static void close_null_allowed(void **state)
{
	(void)state;
	p2pdma_context_close(NULL);
	assert_int_equal(p2pdma_context_fd(NULL), -EINVAL);
}

static void fd_idle_not_readable(void **state)
{
	struct pollfd poll_fd = {p2pdma_context_fd(*state), POLLIN, 0};

	assert_int_equal(poll(&poll_fd, 1, 0), 0);
}

static void *fail_elsewhere(void *context)
{
	struct p2pdma_provider *provider;

	assert_string_equal(p2pdma_context_error(context), "");
	p2pdma_provider_find(context, "other", &provider);
	assert_non_null(strstr(p2pdma_context_error(context), "\"other\""));
	return NULL;
}

static void error_is_per_thread(void **state)
{
	struct p2pdma_provider *provider;
	pthread_t thread;

	assert_int_equal(p2pdma_provider_find(*state, "mine", &provider), -EINVAL);
	assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, *state), 0);
	pthread_join(thread, NULL);
	assert_cause("\"mine\"");
}

static void error_of_another_context_is_empty(void **state)
{
	struct p2pdma_context *other = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	struct p2pdma_provider *provider;

	assert_int_equal(p2pdma_provider_find(*state, "mine", &provider), -EINVAL);
	assert_string_equal(p2pdma_context_error(other), "");
	assert_string_equal(p2pdma_context_error(NULL), "");
	p2pdma_context_close(other);
}

static void error_stays_after_success(void **state)
{
	struct p2pdma_provider *provider;

	assert_int_equal(p2pdma_provider_find(*state, "mine", &provider), -EINVAL);
	p2pdma_provider_unref(fake_provider());
	assert_cause("\"mine\"");
}

static char logged[512];

static void keep_message(void *data, int level, const char *message)
{
	(*(int *)data)++;
	assert_int_equal(level, P2PDMA_LOG_DEBUG);
	strncpy(logged, message, sizeof(logged) - 1);
}

static void log_failure_told_at_debug_level(void **state)
{
	struct p2pdma_context_options options = P2PDMA_CONTEXT_OPTIONS_INIT;
	struct p2pdma_context *opened = NULL;
	struct p2pdma_provider *provider;
	int count = 0;

	(void)state;
	options.flags = P2PDMA_CONTEXT_NO_HOTPLUG;
	options.log_handler = keep_message;
	options.log_data = &count;
	options.log_level = P2PDMA_LOG_DEBUG;
	assert_int_equal(p2pdma_context_open(&options, &opened), 0);
	p2pdma_provider_find(opened, "x", &provider);
	assert_int_equal(count, 1);
	assert_non_null(strstr(logged, "EINVAL: \"x\""));
	p2pdma_context_close(opened);
}

static void close_before_buffer_keeps_buffer_valid(void **state)
{
	struct p2pdma_context *other = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	assert_int_equal(p2pdma_provider_find(other, "0000:01:00.0/2", &provider), 0);
	assert_int_equal(p2pdma_buffer_new(other, provider, NULL, 0, NULL, &buffer), 0);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(other);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), 64 * MIB);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	p2pdma_buffer_free(buffer);
}

static void version_matches_header(void **state)
{
	(void)state;
	assert_int_equal(p2pdma_version_number(), P2PDMA_VERSION_NUMBER);
	assert_string_equal(p2pdma_version_string(), "0.1.0");
}

static void error_name_whatever_the_number(void **state)
{
	(void)state;
	assert_string_equal(error_name(-EINVAL), "EINVAL");
	assert_string_equal(error_name(EINVAL), "EINVAL");
	/* Drivers let the kernel's own through. */
	assert_string_equal(error_name(-ENOTSUPP), "ENOTSUPP");
	assert_string_equal(error_name(-100000), "unknown error");
	assert_string_equal(error_name(INT_MIN), "unknown error");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

/* In more groups than fit into anything of a fixed size. */
static void is_member_of_many_groups(void **state)
{
	gid_t groups[300];
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(sys_real.is_member(getegid()), 1);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		groups[i] = (gid_t)(70000 + i);
	pid = fork();
	if (!pid) {
		if (setgroups(ARRAY_SIZE(groups), groups))
			_exit(77);
		_exit(sys_real.is_member(70000) == 1 && sys_real.is_member(70299) == 1 &&
				      sys_real.is_member(70300) == 0 ?
			      0 :
			      1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_name_whatever_the_number),
		cmocka_unit_test(is_member_of_many_groups),
		CASE(open_null_place_einval),
		CASE(open_bad_options_einval),
		CASE(open_future_options_e2big),
		CASE(open_without_sysfs_enoent),
		CASE(open_real_machine_works),
		CASE(close_null_allowed),
		CASE(fd_idle_not_readable),
		CASE(error_is_per_thread),
		CASE(error_of_another_context_is_empty),
		CASE(error_stays_after_success),
		CASE(log_failure_told_at_debug_level),
		CASE(close_before_buffer_keeps_buffer_valid),
		CASE(version_matches_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
