// SPDX-License-Identifier: MIT
/*
 * Giving a PCI function to another driver and back: `bind` and `unbind`. Needs root, not p2pd.
 *
 * The kernel's own way: driver_override says which driver, unbind takes the function from the one
 * it has, drivers_probe lets the override decide. Each step is checked by looking, because a write
 * that succeeds says little; when the function doesn't end up where it should, override and driver
 * are put back as they were. A function that a driver is using for something else (a disk, the
 * network) isn't taken away without --force.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table.h"

struct function {
	int directory; /* of the function in sysfs */
	int bus;       /* bus/pci */
	const char *name;
	char driver[64];   /* before, "" for none */
	char override[64]; /* before, "" for none */
};

static const char *sysfs(void)
{
	const char *path = secure_getenv("P2PCTL_SYSFS");

	return path && *path ? path : "/sys";
}

static int write_file(int directory, const char *path, const char *text)
{
	int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	r = n < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int read_file(int directory, const char *path, char *text, size_t size)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	close(fd);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

static void read_driver(const struct function *function, char *driver, size_t size)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(function->directory, "driver", target, sizeof(target) - 1);
	const char *slash;

	driver[0] = '\0';
	if (n <= 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(driver, size, "%.63s", slash ? slash + 1 : target);
}

__attribute__((format(printf, 2, 3))) static int failed(int error, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "p2pctl: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", strerror(-error));
	if (error == -EACCES || error == -EPERM)
		fprintf(stderr, "  try: the same as root\n");
	return cli_exit_code(error);
}

static bool is_address(const char *text)
{
	unsigned int domain, bus, device, function;
	char end;

	return sscanf(text, "%8x:%2x:%2x.%1o%c", &domain, &bus, &device, &function, &end) == 4 &&
	       !strchr(text, '/');
}

static int open_function(struct cli *cli, const char *name, struct function *ret_function)
{
	struct function function = {.directory = -1, .bus = -1, .name = name};
	char path[PATH_MAX];
	int r;

	if (!is_address(name))
		return cli_usage(cli, "%s is no PCI function, such as 0000:41:00.0", name);
	snprintf(path, sizeof(path), "%s/bus/pci", sysfs());
	function.bus = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (function.bus < 0)
		return failed(-errno, "can't open %s", path);
	snprintf(path, sizeof(path), "devices/%s", name);
	function.directory = openat(function.bus, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (function.directory < 0) {
		r = failed(-errno, "there is no PCI function %s", name);
		fprintf(stderr, "  try: p2pctl list --direct\n");
		close(function.bus);
		return r;
	}
	read_driver(&function, function.driver, sizeof(function.driver));
	if (read_file(function.directory, "driver_override", function.override,
		      sizeof(function.override)) ||
	    !strcmp(function.override, "(null)"))
		function.override[0] = '\0';
	*ret_function = function;
	return EXIT_OK;
}

static void close_function(const struct function *function)
{
	close(function->directory);
	close(function->bus);
}

static int set_override(const struct function *function, const char *driver)
{
	char text[72];

	/* An empty line takes it away. */
	snprintf(text, sizeof(text), "%s\n", driver);
	return write_file(function->directory, "driver_override", text);
}

static int probe(const struct function *function)
{
	return write_file(function->bus, "drivers_probe", function->name);
}

static int unbind(const struct function *function)
{
	return write_file(function->directory, "driver/unbind", function->name);
}

/* As it was. What can't be undone is said: somebody must look. */
static void undo(const struct function *function)
{
	char now[64];

	if (set_override(function, function->override))
		fprintf(stderr, "p2pctl: driver_override of %s couldn't be put back to \"%s\"\n",
			function->name, function->override);
	read_driver(function, now, sizeof(now));
	if (*now && strcmp(now, function->driver))
		unbind(function);
	if (*function->driver && strcmp(now, function->driver)) {
		char path[96];

		snprintf(path, sizeof(path), "drivers/%s/bind", function->driver);
		write_file(function->bus, path, function->name);
	}
	read_driver(function, now, sizeof(now));
	if (strcmp(now, function->driver))
		fprintf(stderr, "p2pctl: %s was bound to %s and now is to %s\n", function->name,
			*function->driver ? function->driver : "no driver",
			*now ? now : "no driver");
	else
		fprintf(stderr, "p2pctl: %s is as it was\n", function->name);
}

/* From the driver that it had, or all is as it was. */
static int let_go(const struct function *function)
{
	int r;

	if (!*function->driver)
		return EXIT_OK;
	r = unbind(function);
	if (!r)
		return EXIT_OK;
	r = failed(r, "%s doesn't let go of %s", function->driver, function->name);
	undo(function);
	return r;
}

static int bind_to(const struct function *function, const char *driver)
{
	char path[96], now[64];
	int r;

	snprintf(path, sizeof(path), "drivers/%.63s", driver);
	if (faccessat(function->bus, path, F_OK, 0)) {
		r = failed(-ENOENT, "there is no driver %s", driver);
		fprintf(stderr, "  try: modprobe %s\n", driver);
		return r;
	}
	r = set_override(function, driver);
	if (r)
		return failed(r, "can't set driver_override of %s", function->name);
	r = let_go(function);
	if (r)
		return r;
	r = probe(function);
	read_driver(function, now, sizeof(now));
	if (!strcmp(now, driver))
		return EXIT_OK;
	r = failed(r ? r : -EOPNOTSUPP, "%s didn't take %s", driver, function->name);
	fprintf(stderr, "  try: dmesg, which may say why\n");
	undo(function);
	return r;
}

static bool is_harmless(const char *driver)
{
	return !*driver || !strcmp(driver, "vfio-pci") || !strcmp(driver, "p2pdma_export") ||
	       !strcmp(driver, "pci-stub");
}

static int in_use(const struct function *function)
{
	fprintf(stderr,
		"p2pctl: %s is in use by %s, which would lose it\n"
		"  try: --force, where nothing needs it any more\n",
		function->name, function->driver);
	return EXIT_NOT_POSSIBLE;
}

static void print_binding(const struct cli *cli, const struct function *function)
{
	static const struct column columns[] = {
		{"FUNCTION", "function", false},
		{"WAS", "driver_before", false},
		{"IS", "driver", false},
	};
	struct table *table = table_new(cli, "binding", columns, 3);
	char now[64];

	read_driver(function, now, sizeof(now));
	table_text(table, function->name);
	table_text(table, *function->driver ? function->driver : NULL);
	table_text(table, *now ? now : NULL);
	table_print(table);
}

enum {
	OPTION_FORCE = 256,
	OPTION_NO_PROBE
};

int command_bind(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"force", no_argument, NULL, OPTION_FORCE}, {0}};
	const char *driver = "p2pdma_export";
	struct function function;
	bool is_forced = false;
	int option, r;

	while ((option = cli_option(cli, argc, argv, "", options)) != -1) {
		if (option != OPTION_FORCE)
			return EXIT_USAGE;
		is_forced = true;
	}
	if (argc - optind < 1 || argc - optind > 2)
		return cli_usage(cli, "bind needs a PCI function, and perhaps a driver");
	if (argc - optind == 2)
		driver = argv[optind + 1];
	if (!*driver || strchr(driver, '/') || strlen(driver) > 63)
		return cli_usage(cli, "%s is no name of a driver", driver);
	r = open_function(cli, argv[optind], &function);
	if (r)
		return r;
	if (!is_forced && !is_harmless(function.driver) && strcmp(function.driver, driver))
		r = in_use(&function);
	else if (strcmp(function.driver, driver))
		r = bind_to(&function, driver);
	if (!r)
		print_binding(cli, &function);
	close_function(&function);
	return r;
}

static int give_back(const struct function *function, bool is_probing)
{
	char now[64];
	int r;

	r = set_override(function, "");
	if (r)
		return failed(r, "can't clear driver_override of %s", function->name);
	r = let_go(function);
	if (r)
		return r;
	if (!is_probing)
		return EXIT_OK;
	/* A function that no driver wants is a function without a driver. */
	r = probe(function);
	read_driver(function, now, sizeof(now));
	return r && r != -ENODEV && !*now ? failed(r, "can't probe %s", function->name) : EXIT_OK;
}

int command_unbind(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"force", no_argument, NULL, OPTION_FORCE},
						{"no-probe", no_argument, NULL, OPTION_NO_PROBE},
						{0}};
	bool is_forced = false, is_probing = true;
	struct function function;
	int option, r;

	while ((option = cli_option(cli, argc, argv, "", options)) != -1) {
		if (option == OPTION_FORCE)
			is_forced = true;
		else if (option == OPTION_NO_PROBE)
			is_probing = false;
		else
			return EXIT_USAGE;
	}
	if (argc - optind != 1)
		return cli_usage(cli, "unbind needs a PCI function");
	r = open_function(cli, argv[optind], &function);
	if (r)
		return r;
	if (!is_forced && !is_harmless(function.driver))
		r = in_use(&function);
	else
		r = give_back(&function, is_probing);
	if (!r)
		print_binding(cli, &function);
	close_function(&function);
	return r;
}
