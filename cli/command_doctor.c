// SPDX-License-Identifier: MIT
/*
 * `doctor`: what of this machine is in the way, and what to do; a report of it for others.
 *
 * People are shown what isn't well, the gravest first, then what to do about it; programs get all. That
 * something couldn't be looked at has an exit code of its own, so that a script doesn't take it for well.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "table.h"

struct report {
	struct p2pdma_doctor *doctor;
	struct p2pdma_finding *findings; /* the gravest first, else in their order */
	size_t count;
};

static const char *const colours[] = {
	[P2PDMA_SEVERITY_OK] = "green",
	[P2PDMA_SEVERITY_UNKNOWN] = "cyan",
	[P2PDMA_SEVERITY_WARNING] = "yellow",
	[P2PDMA_SEVERITY_PROBLEM] = "red",
};

static void take_findings(struct report *report)
{
	size_t count = p2pdma_doctor_count(report->doctor), taken = 0;

	report->findings = calloc(count + 1, sizeof(*report->findings));
	if (!report->findings)
		errx(EXIT_FAILED, "out of memory");
	for (uint32_t severity = P2PDMA_SEVERITY_PROBLEM; severity; severity--) {
		for (size_t i = 0; i < count; i++) {
			struct p2pdma_finding *finding = &report->findings[taken];

			*finding = (struct p2pdma_finding)P2PDMA_FINDING_INIT;
			if (p2pdma_doctor_finding(report->doctor, i, finding))
				errx(EXIT_FAILED, "this p2pctl is newer than its library");
			taken += finding->severity == severity;
		}
	}
	report->count = taken;
}

static struct table *finding_table(const struct cli *cli, const struct report *report, bool is_all)
{
	static const struct column columns[] = {
		{"SEVERITY", "severity", false}, {"CHECK", "check", false},
		{"SUBJECT", "subject", false},	 {"FOUND", "evidence", false},
		{NULL, "remedy", false},	 {NULL, "reference", false},
	};
	struct table *table =
		table_new(cli, "findings", columns, sizeof(columns) / sizeof(*columns));

	for (size_t i = 0; i < report->count; i++) {
		const struct p2pdma_finding *finding = &report->findings[i];

		if (!is_all && finding->severity == P2PDMA_SEVERITY_OK)
			continue;
		table_row(table);
		table_text(table, p2pdma_severity_name(finding->severity));
		table_colour(table, colours[finding->severity]);
		table_text(table, finding->check);
		table_text(table, finding->subject);
		table_text(table, finding->evidence);
		table_text(table, *finding->remedy ? finding->remedy : NULL);
		table_text(table, finding->reference);
	}
	return table;
}

static bool is_same_remedy(const struct p2pdma_finding *a, const struct p2pdma_finding *b)
{
	return !strcmp(a->check, b->check) && !strcmp(a->remedy, b->remedy);
}

/* Once for all subjects that need the same. */
static void print_remedies(const struct report *report, bool has_headings)
{
	bool has_begun = false;

	for (size_t i = 0; i < report->count; i++) {
		const struct p2pdma_finding *finding = &report->findings[i];
		size_t nr_subjects = 0;
		bool is_told = !*finding->remedy || finding->severity == P2PDMA_SEVERITY_OK;

		for (size_t k = 0; k < i && !is_told; k++)
			is_told = is_same_remedy(&report->findings[k], finding);
		if (is_told)
			continue;
		if (!has_begun)
			printf("%s", has_headings ? "\nWhat to do:\n" : "\n");
		has_begun = true;
		printf("  %s", finding->check);
		for (size_t k = i; k < report->count; k++) {
			if (!is_same_remedy(&report->findings[k], finding))
				continue;
			if (nr_subjects++ < 4)
				printf("%s %s", nr_subjects == 1 ? "" : ",",
				       report->findings[k].subject);
		}
		if (nr_subjects > 4)
			printf(" and %zu more", nr_subjects - 4);
		printf(" (%s)\n    %s\n", finding->reference, finding->remedy);
	}
}

static void print_sum(const struct report *report, bool is_all)
{
	size_t counts[P2PDMA_SEVERITY_PROBLEM + 1] = {0};

	for (size_t i = 0; i < report->count; i++)
		counts[report->findings[i].severity]++;
	printf("%s%zu ok, %zu unknown, %zu warning%s, %zu problem%s%s\n",
	       is_all || counts[P2PDMA_SEVERITY_OK] < report->count ? "\n" : "",
	       counts[P2PDMA_SEVERITY_OK], counts[P2PDMA_SEVERITY_UNKNOWN],
	       counts[P2PDMA_SEVERITY_WARNING], counts[P2PDMA_SEVERITY_WARNING] == 1 ? "" : "s",
	       counts[P2PDMA_SEVERITY_PROBLEM], counts[P2PDMA_SEVERITY_PROBLEM] == 1 ? "" : "s",
	       is_all ? "" : "; --all shows what is well, too");
}

static void print_findings(const struct cli *cli, const struct report *report, bool is_all)
{
	if (cli->is_json) {
		tables_print("doctor", finding_table(cli, report, true), NULL);
		return;
	}
	tables_print("doctor", finding_table(cli, report, is_all), NULL);
	print_remedies(report, cli->has_headings);
	print_sum(report, is_all);
}

static const char about[] =
	"A report of `p2pctl doctor --bundle`, to attach to a bug. It is all text: read it before "
	"you\n"
	"send it.\n\n"
	"doctor.json  what was found, with evidence and remedies\n"
	"topo.json    the PCI tree and every path, as `p2pctl --json topo`\n"
	"pci.txt      the PCI tree as people read it\n"
	"system.txt   kernel, distribution, parameters of the kernel that matter here\n"
	"modules.txt  versions and parameters of modules\n"
	"sysfs.txt    what sysfs says of the functions and RDMA devices that take part\n"
	"limits.txt   limits, capabilities and groups of the process that asked\n"
	"p2pd.txt     p2pd's state, as far as its user may see it: leases and their users, no "
	"tokens\n";

static void fill(struct bundle *bundle, const struct cli *cli, const struct report *report)
{
	/* The tree by a context of its own, which needs no p2pd. */
	struct cli part = *cli;
	struct topo topo = {.topology = NULL};

	part.is_json = true;
	part.has_colour = false;
	part.context = NULL;
	fputs(about, bundle_begin(bundle, "README.txt"));
	bundle_end(bundle);
	part.out = bundle_begin(bundle, "doctor.json");
	print_findings(&part, report, true);
	bundle_end(bundle);
	part.out = bundle_begin(bundle, "topo.json");
	if (!topo_open(&part, false, &topo))
		topo_print_json(&part, &topo);
	bundle_end(bundle);
	bundle_fill(bundle, cli, &topo);
	topo_close(&topo);
	p2pdma_context_close(part.context);
}

static int write_bundle(const struct cli *cli, const struct report *report, const char *path)
{
	struct bundle *bundle = NULL;
	int r = bundle_open(path, &bundle);

	if (!r) {
		fill(bundle, cli, report);
		r = bundle_close(bundle);
	}
	if (r) {
		fprintf(stderr, "p2pctl: can't write %s: %s\n", path, strerror(-r));
		if (r == -EEXIST)
			fprintf(stderr,
				"  try: another name; what is there is never overwritten\n");
		return EXIT_FAILED;
	}
	fprintf(stderr, "p2pctl: the report is in %s\n", path);
	return EXIT_OK;
}

static int code_of(const struct report *report)
{
	switch (p2pdma_doctor_severity(report->doctor)) {
	case P2PDMA_SEVERITY_PROBLEM:
		return EXIT_NOT_POSSIBLE;
	case P2PDMA_SEVERITY_OK:
		return EXIT_OK;
	default:
		break;
	}
	/* A warning is graver than what can't be seen, but it works. */
	for (size_t i = 0; i < report->count; i++)
		if (report->findings[i].severity == P2PDMA_SEVERITY_UNKNOWN)
			return EXIT_PARTIAL;
	return EXIT_OK;
}

int command_doctor(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{"all", no_argument, NULL, 'a'},
		{"direct", no_argument, NULL, 'd'},
		{"try", no_argument, NULL, 't'},
		{"bundle", required_argument, NULL, 'o'},
		{0},
	};
	struct report report = {.doctor = NULL};
	const char *path = NULL;
	uint32_t context_flags = 0, flags = 0;
	bool is_all = false;
	int option, r;

	while ((option = cli_option(cli, argc, argv, "a", options)) != -1) {
		if (option == 'a')
			is_all = true;
		else if (option == 'd')
			context_flags |= P2PDMA_CONTEXT_DIRECT;
		else if (option == 't')
			flags |= P2PDMA_DOCTOR_TRY;
		else if (option == 'o')
			path = optarg;
		else
			return EXIT_USAGE;
	}
	if (optind != argc)
		return cli_usage(cli, "doctor takes no arguments");
	r = cli_open(cli, context_flags);
	if (r)
		return r;
	r = p2pdma_doctor_query(cli->context, flags, &report.doctor);
	if (r)
		return cli_failed(cli, r, "can't look at this machine");
	take_findings(&report);
	print_findings(cli, &report, is_all);
	r = path ? write_bundle(cli, &report, path) : EXIT_OK;
	if (r == EXIT_OK)
		r = code_of(&report);
	free(report.findings);
	p2pdma_doctor_free(report.doctor);
	return r;
}
