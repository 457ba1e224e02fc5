// SPDX-License-Identifier: MIT
/* Files of the configuration: which are read, in which order, and which aren't trusted. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"
#include "policy/file.h"
#include "policy/rules.h"

struct fixture {
	char folder[64];
	char path[96];
	struct policy *policy;
	char *complaints;
	int nr_fds;
	uint32_t required;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	strcpy(f.folder, "/tmp/p2pd-test-XXXXXX");
	assert_non_null(mkdtemp(f.folder));
	snprintf(f.path, sizeof(f.path), "%s/p2pd.conf", f.folder);
	f.nr_fds = count_fds();
	*state = &f;
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status, (void)type, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(count_fds(), f->nr_fds);
	policy_free(f->policy);
	free(f->complaints);
	return nftw(f->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_file(struct fixture *f, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static void make_folder(struct fixture *f, mode_t mode)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/conf.d", f->folder);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int load(struct fixture *f)
{
	policy_free(f->policy);
	f->policy = NULL;
	free(f->complaints);
	f->complaints = (char *)"unset";
	return policy_load(f->path, f->required, &f->policy, &f->complaints);
}

static void refuse(struct fixture *f, int error, const char *name, const char *what)
{
	assert_int_equal(load(f), error);
	assert_null(f->policy);
	assert_non_null(f->complaints);
	if (strncmp(f->complaints, f->folder, strlen(f->folder)) != 0 ||
	    !strstr(f->complaints, name) || !strstr(f->complaints, what))
		fail_msg("wanted %s, %s: %s", name, what, f->complaints);
}

/* It must be right. */
static void load_well(struct fixture *f)
{
	int r = load(f);

	if (r)
		fail_msg("%d: %s", r, f->complaints);
	assert_null(f->complaints);
}

static void load_nothing_is_the_default(void **state)
{
	struct fixture *f = *state;

	load_well(f);
	assert_int_equal(f->policy->nr_rules, 0);
	make_folder(f, 0755);
	load_well(f);
	assert_int_equal(f->policy->nr_rules, 0);
}

static void load_again_what_was_there_must_be(void **state)
{
	struct fixture *f = *state;
	char path[160];

	load_well(f);
	assert_int_equal(policy_settings(f->policy)->found, 0);
	make_file(f, "p2pd.conf", "[rule a]\nallow=yes\n");
	load_well(f);
	f->required = policy_settings(f->policy)->found;
	assert_int_equal(f->required, POLICY_FOUND_FILE);
	assert_int_equal(unlink(f->path), 0);
	refuse(f, -ENOENT, "p2pd.conf", "is gone");
	/* Empty says so. */
	make_file(f, "p2pd.conf", "");
	make_folder(f, 0755);
	make_file(f, "conf.d/a.conf", "[rule a]\nallow=yes\n");
	load_well(f);
	f->required = policy_settings(f->policy)->found;
	assert_int_equal(f->required, POLICY_FOUND_FILE | POLICY_FOUND_FOLDER);
	snprintf(path, sizeof(path), "%s/conf.d/a.conf", f->folder);
	assert_int_equal(unlink(path), 0);
	load_well(f);
	assert_int_equal(f->policy->nr_rules, 0);
	snprintf(path, sizeof(path), "%s/conf.d", f->folder);
	assert_int_equal(rmdir(path), 0);
	refuse(f, -ENOENT, "conf.d", "is gone");
	f->required = 0;
	load_well(f);
}

static void load_in_the_order_of_names(void **state)
{
	static const char *const wanted[] = {"main", "b10", "b9", "c"};
	struct fixture *f = *state;

	make_folder(f, 0755);
	make_file(f, "conf.d/c.conf", "[rule c]\nallow=yes\n");
	make_file(f, "conf.d/9.conf", "[rule b9]\nallow=yes\n[daemon]\nmax-leases=9\n");
	make_file(f, "conf.d/10.conf", "[rule b10]\nallow=yes\n[daemon]\nmax-leases=10\n");
	make_file(f, "p2pd.conf", "[rule main]\nallow=yes\n[daemon]\nmax-leases=1\n");
	/* These aren't read. */
	make_file(f, "conf.d/.hidden.conf", "x");
	make_file(f, "conf.d/.conf", "x");
	make_file(f, "conf.d/a.conf.rpmsave", "x");
	make_file(f, "conf.d/a.conf~", "x");
	make_file(f, "conf.d/README", "x");
	load_well(f);
	assert_int_equal(f->policy->nr_rules, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		assert_string_equal(f->policy->rules[i].name, wanted[i]);
	assert_int_equal(policy_settings(f->policy)->limits.most[ACCOUNT_LEASES], 9);
	assert_non_null(strstr(f->policy->rules[1].source, "/conf.d/10.conf:1"));
}

static void load_tells_all_files_mistakes(void **state)
{
	struct fixture *f = *state;

	make_folder(f, 0755);
	make_file(f, "p2pd.conf", "[daemon]\nx=1\n");
	make_file(f, "conf.d/a.conf", "\n[huh]\n");
	refuse(f, -EINVAL, "/p2pd.conf:2: ", "unknown setting");
	assert_non_null(strstr(f->complaints, "/conf.d/a.conf:2: unknown section"));
}

static void load_users_and_groups_by_name(void **state)
{
	struct fixture *f = *state;

	make_file(f, "p2pd.conf", "[rule a]\nallow=yes\nuser=root\ngroup=root\n");
	load_well(f);
	assert_int_equal(f->policy->rules[0].users[0], 0);
	assert_int_equal(f->policy->rules[0].groups[0], 0);
	make_file(f, "p2pd.conf", "[rule a]\nallow=yes\nuser=no-such-user-here\n");
	refuse(f, -EINVAL, "p2pd.conf:3: ", "no-such-user-here");
	make_file(f, "p2pd.conf", "[rule a]\nallow=yes\ngroup=no-such-group-here\n");
	refuse(f, -EINVAL, "p2pd.conf:3: ", "no-such-group-here");
}

static void load_writable_by_others_refused(void **state)
{
	struct fixture *f = *state;

	make_file(f, "p2pd.conf", "");
	assert_int_equal(chmod(f->path, 0664), 0);
	refuse(f, -EINVAL, "p2pd.conf", "others than its owner");
	assert_int_equal(chmod(f->path, 0646), 0);
	refuse(f, -EINVAL, "p2pd.conf", "others than its owner");
	assert_int_equal(chmod(f->path, 0600), 0);
	load_well(f);
	make_folder(f, 0775);
	refuse(f, -EINVAL, "conf.d", "others than its owner");
}

static void load_of_another_owner_refused(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0) {
		print_message("only root can give a file away\n");
		skip();
	}
	make_file(f, "p2pd.conf", "");
	assert_int_equal(chown(f->path, 12345, 0), 0);
	refuse(f, -EINVAL, "p2pd.conf", "belongs neither");
}

static void load_no_regular_file_refused_without_waiting(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	refuse(f, -EINVAL, "p2pd.conf", "not a regular file");
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	refuse(f, -EINVAL, "p2pd.conf", "not a regular file");
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(symlink("/dev/null", f->path), 0);
	refuse(f, -EINVAL, "p2pd.conf", "not a regular file");
}

static void load_what_open_says(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink("p2pd.conf", f->path), 0);
	refuse(f, -ELOOP, "p2pd.conf", strerror(ELOOP));
	assert_int_equal(unlink(f->path), 0);
	make_file(f, "conf.d", "");
	refuse(f, -ENOTDIR, "conf.d", strerror(ENOTDIR));
}

static void load_dangling_link_in_the_folder_is_no_missing_file(void **state)
{
	struct fixture *f = *state;
	char path[160];

	make_folder(f, 0755);
	snprintf(path, sizeof(path), "%s/conf.d/a.conf", f->folder);
	assert_int_equal(symlink("nowhere", path), 0);
	refuse(f, -ENOENT, "conf.d/a.conf", strerror(ENOENT));
}

static void load_too_large_refused(void **state)
{
	static char text[1024 * 1024 + 2];
	struct fixture *f = *state;

	memset(text, '\n', sizeof(text) - 1);
	make_file(f, "p2pd.conf", text);
	refuse(f, -EINVAL, "p2pd.conf", "larger than 1048576");
	text[1024 * 1024] = '\0';
	make_file(f, "p2pd.conf", text);
	load_well(f);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(load_nothing_is_the_default),
		test(load_again_what_was_there_must_be),
		test(load_in_the_order_of_names),
		test(load_tells_all_files_mistakes),
		test(load_users_and_groups_by_name),
		test(load_writable_by_others_refused),
		test(load_of_another_owner_refused),
		test(load_no_regular_file_refused_without_waiting),
		test(load_what_open_says),
		test(load_dangling_link_in_the_folder_is_no_missing_file),
		test(load_too_large_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
