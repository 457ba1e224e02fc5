// SPDX-License-Identifier: MIT
/*
 * The doctor: what of this machine is in the way.
 *
 * An examination is a row of checks, a file each. A check looks at one concern, adds what it finds and
 * never fails: what it can't see is a finding, too. So a device that answers nonsense, or a privilege that
 * is missing, hides nothing else. The only failures are those of this process: no memory, no descriptors.
 * Then there is no report at all, because one that leaves out what couldn't be opened would be wrong.
 *
 * Checks ask by calls that change nothing; those that take something for a moment are in
 * try.c and run only when the caller wants them.
 *
 * The report never changes once it is returned: any thread, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "doctor.h"
#include "context/options.h"

struct p2pdma_doctor {
	struct p2pdma_finding *findings;
	size_t count;
	size_t room;
	int error;
};

static const struct {
	const char *name;
	const char *reference;
} checks[] = {
#define DOCTOR_CHECK(constant, name, reference) [DOCTOR_##constant] = {name, reference},
#include "checks.def"
#undef DOCTOR_CHECK
};

const char *p2pdma_severity_name(uint32_t severity)
{
	static const char *const names[] = {
		[P2PDMA_SEVERITY_OK] = "ok",
		[P2PDMA_SEVERITY_UNKNOWN] = "unknown",
		[P2PDMA_SEVERITY_WARNING] = "warning",
		[P2PDMA_SEVERITY_PROBLEM] = "problem",
	};

	if (!severity || severity > P2PDMA_SEVERITY_PROBLEM)
		severity = P2PDMA_SEVERITY_UNKNOWN;
	return names[severity];
}

static struct p2pdma_finding *append(struct p2pdma_doctor *report)
{
	struct p2pdma_finding *grown;
	size_t room = report->room ? report->room * 2 : 64;

	if (report->count == report->room) {
		grown = reallocarray(report->findings, room, sizeof(*grown));
		if (!grown) {
			report->error = -ENOMEM;
			return NULL;
		}
		report->findings = grown;
		report->room = room;
	}
	memset(&report->findings[report->count], 0, sizeof(*grown));
	return &report->findings[report->count++];
}

void doctor_add(struct doctor *doctor, enum doctor_check check, uint32_t severity,
		const char *subject, const char *format, ...)
{
	struct p2pdma_finding *finding = doctor->report->error ? NULL : append(doctor->report);
	va_list arguments;

	if (!finding)
		return;
	finding->severity = severity;
	snprintf(finding->check, sizeof(finding->check), "%s", checks[check].name);
	snprintf(finding->reference, sizeof(finding->reference), "%s", checks[check].reference);
	snprintf(finding->subject, sizeof(finding->subject), "%s", subject);
	va_start(arguments, format);
	vsnprintf(finding->evidence, sizeof(finding->evidence), format, arguments);
	va_end(arguments);
}

void doctor_advise(struct doctor *doctor, const char *format, ...)
{
	struct p2pdma_doctor *report = doctor->report;
	struct p2pdma_finding *finding;
	va_list arguments;

	if (report->error || !report->count)
		return;
	finding = &report->findings[report->count - 1];
	va_start(arguments, format);
	vsnprintf(finding->remedy, sizeof(finding->remedy), format, arguments);
	va_end(arguments);
}

void doctor_fail(struct doctor *doctor, int error)
{
	doctor->report->error = error;
}

bool doctor_is_unseen(struct doctor *doctor, enum doctor_check check, const char *subject,
		      const char *path, int error)
{
	switch (error) {
	case 0:
	case -ENODEV:
	case -ENOENT:
		return false;
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		doctor_fail(doctor, error);
		return true;
	default:
		doctor_add(doctor, check, P2PDMA_SEVERITY_UNKNOWN, subject,
			   "%s can't be looked at: %s", path, error_name(error));
		doctor_advise(doctor, "ask as root, and outside of the container");
		return true;
	}
}

static void close_rdmas(struct doctor *doctor)
{
	const struct verbs_ops *verbs = doctor->context->verbs;

	list_for_each_entry_safe(rdma, &doctor->rdmas, struct doctor_rdma, link) {
		list_remove(&rdma->link);
		if (rdma->pd)
			verbs->free_pd(rdma->pd);
		verbs->close(rdma->verbs);
		free(rdma);
	}
}

/* What one look has open at a time, with room for what libraries open. */
#define ROOM 8

/*
 * Most looks take what can't be opened for what isn't there. So that this is never for want of a
 * descriptor, there must be room for some before each.
 */
static int check_room(const struct doctor *doctor)
{
	int fds[ROOM], count = 0, r = 0;

	while (!r && count < ROOM) {
		fds[count] = fcntl(doctor->root_fd, F_DUPFD_CLOEXEC, 0);
		if (fds[count] < 0)
			r = -errno;
		else
			count++;
	}
	while (count)
		close(fds[--count]);
	return r;
}

/* In this order: each leaves something for those behind it. */
static void (*const examinations[])(struct doctor *doctor) = {
	doctor_check_process,  doctor_check_rdma,   doctor_check_providers,
	doctor_check_paths,    doctor_check_broker, doctor_check_kernel,
	doctor_check_nodes,    doctor_check_limits, doctor_check_drivers,
	doctor_check_runtimes, doctor_try,
};

/* 0, or why there is no answer at all. */
static int examine(struct doctor *doctor)
{
	int r;

	r = p2pdma_topology_query(doctor->context, &doctor->topology);
	/* Without PCI there is still something to say. */
	if (r && r != -ENOENT)
		return r;
	r = 0;
	for (size_t i = 0; !r && i < sizeof(examinations) / sizeof(*examinations); i++) {
		if (examinations[i] == doctor_try && !(doctor->flags & P2PDMA_DOCTOR_TRY))
			continue;
		r = check_room(doctor);
		if (!r)
			examinations[i](doctor);
	}
	if (!r)
		r = doctor->report->error;
	if (r)
		return context_fail(doctor->context, r, "%s",
				    r == -ENOMEM ? "no memory for what was found" :
						   "not all of the machine can be looked at");
	return 0;
}

int p2pdma_doctor_query(struct p2pdma_context *context, uint32_t flags,
			struct p2pdma_doctor **ret_doctor)
{
	struct doctor doctor = {.context = context, .flags = flags, .root_fd = -1};
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_doctor)
		return context_fail(context, -EINVAL, "no place for the findings was given");
	if (flags & ~P2PDMA_DOCTOR_TRY)
		return context_fail(context, -EINVAL, "unknown doctor flags 0x%x", flags);
	doctor.report = calloc(1, sizeof(*doctor.report));
	if (!doctor.report)
		return context_fail(context, -ENOMEM, "no memory for findings");
	list_init(&doctor.rdmas);
	doctor.root_fd = open(context->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (doctor.root_fd < 0)
		r = context_fail(context, -errno, "can't open %s: %s", context->root,
				 error_name(errno));
	else
		r = examine(&doctor);
	close_rdmas(&doctor);
	free(doctor.providers);
	p2pdma_topology_free(doctor.topology);
	cleanup_close(&doctor.root_fd);
	if (r)
		p2pdma_doctor_free(doctor.report);
	else
		*ret_doctor = doctor.report;
	return r;
}

size_t p2pdma_doctor_count(const struct p2pdma_doctor *doctor)
{
	return doctor ? doctor->count : 0;
}

int p2pdma_doctor_finding(const struct p2pdma_doctor *doctor, size_t index,
			  struct p2pdma_finding *ret_finding)
{
	if (!doctor || index >= doctor->count ||
	    options_check_output(ret_finding, sizeof(*ret_finding)))
		return -EINVAL;
	options_store(ret_finding, &doctor->findings[index], sizeof(*ret_finding));
	return 0;
}

uint32_t p2pdma_doctor_severity(const struct p2pdma_doctor *doctor)
{
	uint32_t severity = P2PDMA_SEVERITY_OK;

	for (size_t i = 0; doctor && i < doctor->count; i++)
		if (doctor->findings[i].severity > severity)
			severity = doctor->findings[i].severity;
	return severity;
}

void p2pdma_doctor_free(struct p2pdma_doctor *doctor)
{
	if (!doctor)
		return;
	free(doctor->findings);
	free(doctor);
}
