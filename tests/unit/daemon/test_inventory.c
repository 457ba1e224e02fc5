// SPDX-License-Identifier: MIT
/* The list of providers beside what is seen: what comes, stays, changes and goes, and who is told. */
#include "core.h"

#include <errno.h>

#include "fake_broker.h"
#include "provider/inventory.h"

static struct fake fake;
static struct pci_function function;
static struct sighting seen;

static int setup(void **state)
{
	struct policy *policy;
	struct cause cause;

	(void)state;
	assert_int_equal(policy_new(&policy), 0);
	assert_int_equal(fake_begin(&fake, policy, 0, -1, &cause), 0);
	function = (struct pci_function){
		.address = {.bus = 0x43}, .generation = 9, .driver = "amdgpu", .numa_node = 1};
	seen = (struct sighting){.function = &function, .nr_offers = 1};
	seen.offers[0] = (struct offer){
		.identity = {.name = "0000:43:00.0/vram@9",
			     .backend = WIRE_BACKEND_DRM,
			     .address = function.address,
			     .bar = PCI_MEMORY_VRAM,
			     .generation = 9},
		.size_bytes = 64 * MIB,
		.cause = "publish it",
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_end(&fake);
	return 0;
}

static struct provider *add(struct device *device, const char *cause)
{
	assert_int_equal(inventory_add(&fake.broker, &seen, device, false, cause), 0);
	return broker_provider_find(&fake.broker, seen.offers[0].identity.name);
}

static unsigned int told(uint32_t type)
{
	unsigned int count = fake.happened[type];

	fake.happened[type] = 0;
	return count;
}

static void add_is_told_once(void **state)
{
	struct provider *provider = add(NULL, "");
	uint64_t serial;

	(void)state;
	assert_non_null(provider);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_ADDED), 1);
	assert_null(provider->device);
	assert_string_equal(provider->cause, "publish it");
	assert_string_equal(provider->driver, "amdgpu");
	assert_int_equal(provider->numa_node, 1);
	serial = provider->serial;
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(add(NULL, ""), provider);
	assert_int_equal(provider->serial, serial);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_ADDED), 0);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_CHANGED), 0);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_REMOVED), 0);
}

static void add_changed_is_the_same_provider(void **state)
{
	struct provider *provider = add(NULL, "");

	(void)state;
	provider->is_draining = true;
	assert_ptr_equal(add(NULL, "another cause"), provider);
	assert_string_equal(provider->cause, "another cause");
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_CHANGED), 1);
	seen.offers[0].size_bytes = 32 * MIB;
	add(NULL, "another cause");
	assert_int_equal(provider->slices.size_bytes, 32 * MIB);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_CHANGED), 1);
	/* Its node can be opened now. */
	assert_ptr_equal(add(&fake.device, ""), provider);
	assert_ptr_equal(provider->device, &fake.device);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_CHANGED), 1);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_ADDED), 1);
	assert_true(provider->is_draining);
}

static void forget_what_is_not_offered(void **state)
{
	struct sighting nothing = {.function = &function};
	struct pci_address other = {.bus = 0x44};

	(void)state;
	add(NULL, "");
	inventory_forget(&fake.broker, &other, &nothing);
	inventory_forget(&fake.broker, &function.address, &seen);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_REMOVED), 0);
	inventory_forget(&fake.broker, &function.address, &nothing);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_REMOVED), 1);
	assert_int_equal(fake.broker.nr_providers, 0);
	add(NULL, "");
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_ADDED), 2);
}

static void forget_the_generation_before(void **state)
{
	(void)state;
	add(NULL, "");
	strcpy(seen.offers[0].identity.name, "0000:43:00.0/vram@10");
	inventory_forget(&fake.broker, &function.address, &seen);
	assert_non_null(add(NULL, ""));
	assert_int_equal(fake.broker.nr_providers, 1);
	assert_null(broker_provider_find(&fake.broker, "0000:43:00.0/vram@9"));
}

static void forget_nothing_with_a_device(void **state)
{
	struct sighting nothing = {.function = &function};

	(void)state;
	add(&fake.device, "");
	inventory_forget(&fake.broker, &function.address, &nothing);
	assert_int_equal(fake.broker.nr_providers, 1);
	assert_null(inventory_unavailable_after(&fake.broker, 0));
}

static void unavailable_each_once(void **state)
{
	const struct provider *provider;
	uint64_t last = 0;
	int count = 0;

	(void)state;
	fake_arrive(&fake, false);
	for (char c = 'a'; c < 'f'; c++) {
		seen.offers[0].identity.name[0] = c;
		add(NULL, "");
	}
	while ((provider = inventory_unavailable_after(&fake.broker, last))) {
		assert_true(provider->serial > last);
		last = provider->serial;
		count++;
	}
	assert_int_equal(count, 5);
}

static void acquire_is_refused_with_the_cause(void **state)
{
	struct wire_acquire wire = {.selector = "backend:drm",
				    .mode = WIRE_MODE_EXCLUSIVE,
				    .access = WIRE_ACCESS_READ,
				    .length_bytes = 4096,
				    .align_bytes = 4096};
	struct acquire_request request = {
		.wire = &wire, .subject = fake.holder.subject, .holder = &fake.holder};
	struct lease *lease;
	struct cause cause;
	int fd;

	(void)state;
	add(NULL, "");
	assert_int_equal(broker_acquire(&fake.broker, &request, &lease, &fd, &cause), -EOPNOTSUPP);
	assert_string_equal(cause.text, "0000:43:00.0/vram@9: publish it");
	strcpy(wire.selector, "0000:43:00.0/vram");
	assert_int_equal(broker_acquire(&fake.broker, &request, &lease, &fd, &cause), -EOPNOTSUPP);
	strcpy(wire.selector, "0000:43:00.0/vram@8");
	assert_int_equal(broker_acquire(&fake.broker, &request, &lease, &fd, &cause), -ESTALE);
	strcpy(wire.selector, "0000:43:00.0/p2pmem");
	assert_int_equal(broker_acquire(&fake.broker, &request, &lease, &fd, &cause), -ENODEV);
	/* What can be leased from is found beside it. */
	strcpy(wire.selector, "*");
	fake_arrive(&fake, false);
	assert_int_equal(broker_acquire(&fake.broker, &request, &lease, &fd, &cause), 0);
	close(fd);
	broker_release(&fake.broker, lease);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Of a function that has left its driver: what leases of it wait on, and nothing else. */
static void take_up_what_waits(void **state)
{
	static const char *const names[] = {"0000:43:00.0/0@9", "0000:43:00.0/2@9",
					    "0000:43:00.0/2@8", "0000:42:00.0/2@9", "scratch"};
	struct device device = {.address = function.address, .generation = 9};
	struct provider *provider;

	(void)state;
	list_init(&device.providers);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct identity identity = {.is_published = i == 4};

		wire_text_set(identity.name, sizeof(identity.name), names[i]);
		assert_int_equal(broker_provider_add(&fake.broker, &identity, 64 * MIB, &provider),
				 0);
	}
	inventory_take_up(&fake.broker, &device);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_ptr_equal(broker_provider_find(&fake.broker, names[i])->device,
				 i < 2 ? &device : NULL);
	provider = broker_provider_find(&fake.broker, names[1]);
	assert_int_equal(provider->identity.bar, 2);
	assert_int_equal(provider->identity.generation, 9);
	assert_int_equal(provider->identity.address.bus, 0x43);
	/* Once is enough. */
	inventory_take_up(&fake.broker, &device);
	assert_int_equal(told(WIRE_MONITOR_PROVIDER_ADDED), 2);
	list_for_each_entry_safe(each, &device.providers, struct provider, link_of_device)
		list_remove(&each->link_of_device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(add_is_told_once),
		CASE(add_changed_is_the_same_provider),
		CASE(forget_what_is_not_offered),
		CASE(forget_the_generation_before),
		CASE(forget_nothing_with_a_device),
		CASE(unavailable_each_once),
		CASE(acquire_is_refused_with_the_cause),
		CASE(take_up_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
