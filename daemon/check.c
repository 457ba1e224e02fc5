// SPDX-License-Identifier: MIT
/*
 * `p2pd --check` with a question: who would get what, by which rule of these files, without a p2pd
 * that runs.
 *
 * The answer is that of POLICY_TEST (policy/test.h). What a client's connection would say of it
 * comes from the user database, and what discovery would say of the provider from sysfs;
 * nothing is opened. What is published isn't known here, so any name may be asked about.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "common/cleanup.h"
#include "common/message.h"
#include "common/sys.h"
#include "provider/function.h"
#include "policy/test.h"
#include "policy/values.h"
#include "policy/selector.h"

#define EXIT_DENIED    4
#define EXIT_NOT_FOUND 5
#define GROUPS_MAX     65536 /* as the kernel's NGROUPS_MAX */

void check_init(struct check *check)
{
	*check = (struct check){
		.test =
			{
				.mode = WIRE_MODE_EXCLUSIVE,
				.access = WIRE_ACCESS_READ | WIRE_ACCESS_WRITE,
				.length_bytes = (uint64_t)sysconf(_SC_PAGESIZE),
			},
	};
}

static bool refuse(const char *what, const char *argument)
{
	fprintf(stderr, "p2pd: \"%s\" is no %s\n", argument, what);
	return false;
}

static bool take_text(char *field, size_t size, const char *what, const char *argument)
{
	if (!*argument || strlen(argument) >= size)
		return refuse(what, argument);
	wire_text_set(field, size, argument);
	return true;
}

static bool take_name(struct wire_policy_test *test, const char *argument)
{
	char text[WIRE_SELECTOR_SIZE];
	struct selector selector;

	if (snprintf(text, sizeof(text), "published:%s", argument) >= (int)sizeof(text) ||
	    selector_parse(text, &selector) || selector.is_prefix)
		return refuse("name to publish", argument);
	wire_text_set(test->selector, sizeof(test->selector), text);
	test->flags |= WIRE_POLICY_TEST_PUBLISH;
	return true;
}

bool check_take_option(struct check *check, int option, const char *argument)
{
	struct wire_policy_test *test = &check->test;
	struct selector selector;

	check->has_question = true;
	switch (option) {
	case CHECK_UID:
		check->user = argument;
		return true;
	case CHECK_GID:
		check->group = argument;
		return true;
	case CHECK_PROVIDER:
		return selector_parse(argument, &selector) ?
			       refuse("selector: see p2pd(8)", argument) :
			       take_text(test->selector, sizeof(test->selector), "selector",
					 argument);
	case CHECK_PUBLISH:
		return take_name(test, argument);
	case CHECK_UNIT:
		return take_text(test->unit, sizeof(test->unit), "unit or control group", argument);
	case CHECK_LENGTH:
		return !value_bytes(argument, &test->length_bytes) || refuse("size", argument);
	case CHECK_SHARED:
		test->mode = WIRE_MODE_SHARED;
		return true;
	case CHECK_READ_ONLY:
		test->access = WIRE_ACCESS_READ;
		return true;
	case CHECK_UNREVOCABLE:
		test->flags |= WIRE_ACQUIRE_ALLOW_UNREVOCABLE;
		return true;
	case CHECK_TTL:
		return !value_ms(argument, &test->ttl_ms) || refuse("duration", argument);
	default:
		return false;
	}
}

bool check_is_complete(const struct check *check)
{
	if (!check->has_question || (check->user && *check->test.selector))
		return true;
	fputs("p2pd: a question needs --uid, and --provider or --publish\n", stderr);
	return false;
}

/* -- who -- */

static bool parse_id(const char *text, uint32_t *ret_id)
{
	uint64_t value;

	if (value_number(text, &value) || value >= UINT32_MAX)
		return false;
	*ret_id = (uint32_t)value;
	return true;
}

static int find_group(const char *text, gid_t *ret_gid)
{
	const struct group *group;

	if (parse_id(text, ret_gid))
		return 0;
	group = getgrnam(text);
	if (!group) {
		fprintf(stderr, "p2pd: there is no group %s\n", text);
		return -ENOENT;
	}
	*ret_gid = group->gr_gid;
	return 0;
}

/* All groups of the user, the first one included. */
static int find_groups(const char *name, gid_t gid, gid_t **ret_groups, size_t *ret_count)
{
	for (int room = 64; room <= GROUPS_MAX; room *= 2) {
		gid_t *groups = calloc((size_t)room, sizeof(*groups));
		int count = room;

		if (!groups)
			return -ENOMEM;
		if (getgrouplist(name, gid, groups, &count) >= 0) {
			policy_sort_groups(groups, (size_t)count);
			*ret_groups = groups;
			*ret_count = (size_t)count;
			return 0;
		}
		free(groups);
	}
	return -E2BIG;
}

/* @ret_groups: to be freed, the subject refers to it. */
static int find_subject(const struct check *check, struct policy_subject *ret_subject,
			gid_t **ret_groups)
{
	struct policy_subject subject = {.gid = (gid_t)-1};
	bool is_number = parse_id(check->user, &subject.uid);
	const struct passwd *user = is_number ? getpwuid(subject.uid) : getpwnam(check->user);
	int r = 0;

	if (!user && !is_number) {
		fprintf(stderr, "p2pd: there is no user %s\n", check->user);
		return -ENOENT;
	}
	if (user)
		subject.uid = user->pw_uid;
	if (check->group) {
		r = find_group(check->group, &subject.gid);
	} else if (user) {
		subject.gid = user->pw_gid;
		r = find_groups(user->pw_name, user->pw_gid, ret_groups, &subject.nr_groups);
		subject.groups = *ret_groups;
	}
	if (!r)
		*ret_subject = subject;
	return r;
}

/* -- what -- */

/* The first that matches stands for all, as for POLICY_TEST. */
static int find_of(int sysfs_fd, const struct pci_address *address, const struct selector *selector,
		   struct identity *ret_identity)
{
	struct offer offers[FUNCTION_OFFERS];
	struct pci_function function;
	size_t count;
	int r;

	r = pci_function_query(sysfs_fd, address, &function);
	if (!r)
		r = function_offers(sysfs_fd, &function, offers, &count);
	if (r)
		return r;
	for (size_t i = 0; i < count; i++)
		if (selector_matches(selector, &offers[i].identity)) {
			*ret_identity = offers[i].identity;
			return 0;
		}
	return -ENODEV;
}

static int find_in_sysfs(const struct selector *selector, struct identity *ret_identity)
{
	cleanup_fd int sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_free struct pci_address *addresses = NULL;
	size_t count = 0;
	int r;

	r = sysfs_fd < 0 ? -errno : pci_list_query(sysfs_fd, &addresses, &count);
	if (r && r != -ENOENT)
		return r;
	for (size_t i = 0; i < count; i++) {
		r = find_of(sysfs_fd, &addresses[i], selector, ret_identity);
		/* One that makes no sense hides none of the others. */
		if (!r || r == -EMFILE || r == -ENFILE || r == -ENOMEM)
			return r;
	}
	return -ENODEV;
}

static int find_provider(const char *text, struct identity *ret_identity)
{
	struct selector selector;
	int r;

	r = selector_parse(text, &selector);
	if (!r && selector.kind == SELECTOR_PUBLISHED && !selector.is_prefix) {
		*ret_identity =
			(struct identity){.is_published = true, .backend = WIRE_BACKEND_PUBLISHED};
		wire_text_set(ret_identity->name, sizeof(ret_identity->name), selector.published);
		return 0;
	}
	if (!r)
		r = find_in_sysfs(&selector, ret_identity);
	if (r == -ENODEV)
		fprintf(stderr,
			"p2pd: no provider matches \"%s\": they are what functions have that are "
			"bound to p2pdma_export or vfio-pci, DRM devices and p2pmem\n",
			text);
	else if (r)
		fprintf(stderr, "p2pd: can't look for \"%s\": %s\n", text, error_name(r));
	return r;
}

static void print_answer(const struct policy_subject *subject, const struct identity *provider,
			 const struct wire_policy_test_reply *reply)
{
	if (reply->error)
		printf("answer: denied (%s)\n", error_name(reply->error));
	else
		puts("answer: granted");
	printf("uid: %u\nprovider: %s%s\nrule: %s\n", (unsigned int)subject->uid,
	       provider->is_published ? "published:" : "", provider->name,
	       *reply->rule ? reply->rule : "default");
	if (*reply->source)
		printf("source: %s\n", reply->source);
	printf("because: %s\n", reply->because);
}

int check_run(const struct check *check, const struct policy *policy)
{
	cleanup_free gid_t *groups = NULL;
	struct wire_policy_test_reply reply;
	struct policy_subject subject;
	struct identity provider;
	int r;

	r = find_subject(check, &subject, &groups);
	if (!r)
		r = find_provider(check->test.selector, &provider);
	if (r)
		return r == -ENOENT || r == -ENODEV ? EXIT_NOT_FOUND : EXIT_FAILURE;
	policy_test(policy, &subject, &provider, &check->test, &reply);
	print_answer(&subject, &provider, &reply);
	return reply.error ? EXIT_DENIED : EXIT_SUCCESS;
}
