/* SPDX-License-Identifier: MIT */
#ifndef DOCTOR_CASE_H
#define DOCTOR_CASE_H

#include <stdio.h>
#include <string.h>

#include <p2pdma/doctor.h>

#include "fake_machine.h"

/* What all tests of the doctor do: examine the fake machine and look for one finding. */

static struct p2pdma_doctor *doctor;

/* Whoever is told that something isn't well is told what to do: of every fixture. */
static inline void assert_remedies(void)
{
	for (size_t i = 0; i < p2pdma_doctor_count(doctor); i++) {
		struct p2pdma_finding finding = P2PDMA_FINDING_INIT;

		assert_int_equal(p2pdma_doctor_finding(doctor, i, &finding), 0);
		if (finding.severity != P2PDMA_SEVERITY_OK && !*finding.remedy)
			fail_msg("%s of %s has no remedy: \"%s\"", finding.check, finding.subject,
				 finding.evidence);
	}
}

static inline void examine_as(struct p2pdma_context *context, uint32_t flags)
{
	p2pdma_doctor_free(doctor);
	doctor = NULL;
	assert_int_equal(p2pdma_doctor_query(context, flags, &doctor), 0);
	assert_remedies();
}

static inline void examine_with(uint32_t flags)
{
	examine_as(fake_context(), flags);
}

static inline void examine(void)
{
	examine_with(0);
}

/* The first of the check on the subject; NULL: any subject. False: none. */
static inline bool find_finding(const char *check, const char *subject,
				struct p2pdma_finding *ret_finding)
{
	for (size_t i = 0; i < p2pdma_doctor_count(doctor); i++) {
		*ret_finding = (struct p2pdma_finding)P2PDMA_FINDING_INIT;
		assert_int_equal(p2pdma_doctor_finding(doctor, i, ret_finding), 0);
		if (!strcmp(ret_finding->check, check) &&
		    (!subject || !strcmp(ret_finding->subject, subject)))
			return true;
	}
	return false;
}

static inline void assert_none(const char *check, const char *subject)
{
	struct p2pdma_finding finding;

	if (find_finding(check, subject, &finding))
		fail_msg("%s of %s: %s", check, finding.subject, finding.evidence);
}

/* @evidence and @remedy: a part of it; "" of a remedy: there is none. */
static inline void assert_finding(const char *check, const char *subject, uint32_t severity,
				  const char *evidence, const char *remedy)
{
	struct p2pdma_finding finding;

	if (!find_finding(check, subject, &finding))
		fail_msg("nothing was found by %s of %s", check, subject ? subject : "anything");
	if (finding.severity != severity || !strstr(finding.evidence, evidence) ||
	    (*remedy ? !strstr(finding.remedy, remedy) : *finding.remedy != '\0'))
		fail_msg("%s of %s is %s: \"%s\", \"%s\"", check, finding.subject,
			 p2pdma_severity_name(finding.severity), finding.evidence, finding.remedy);
	assert_non_null(strchr(finding.reference, '('));
}

#define OK	P2PDMA_SEVERITY_OK
#define UNKNOWN P2PDMA_SEVERITY_UNKNOWN
#define WARNING P2PDMA_SEVERITY_WARNING
#define PROBLEM P2PDMA_SEVERITY_PROBLEM

/* What the process is: as root of the machine, unless a test writes others. */
static inline void write_process(const char *capabilities)
{
	char text[512];

	fake_mkdir("proc/self");
	fake_mkdir("proc/sys/vm");
	fake_mkdir("proc/sys/kernel");
	snprintf(text, sizeof(text),
		 "Name:\tp2pctl\nUid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n"
		 "CapInh:\t0\nCapEff:\t%s\n",
		 capabilities);
	memcpy(fake.groups, (uint32_t[]){100, 4, 44}, 3 * sizeof(*fake.groups));
	fake_write("proc/self/status", text);
	fake_write("proc/self/uid_map", "         0          0 4294967295\n");
	fake_write("proc/sys/vm/max_map_count", "65530\n");
	fake_write("proc/sys/kernel/osrelease", "7.3.4-test\n");
}

#define ROOT   "000001ffffffffff"
#define NOBODY "0000000000000000"

static inline int doctor_setup(void **state)
{
	int r = fake_setup(state);

	/* Its only function has no link, so that the tree is empty. */
	write_process(ROOT);
	doctor = NULL;
	return r;
}

static inline int doctor_teardown(void **state)
{
	p2pdma_doctor_free(doctor);
	doctor = NULL;
	return fake_teardown(state);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, doctor_setup, doctor_teardown)

#endif /* DOCTOR_CASE_H */
