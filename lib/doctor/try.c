// SPDX-License-Identifier: MIT
/*
 * What only doing it shows, done for a moment.
 *
 * VFIO says whether it exports DMABUFs to who has the function open. Opening one that nobody has resets it,
 * as every opening does, and it is closed at once; what is in use answers EBUSY and stays as it is.
 *
 * Whether an importer takes a provider's memory, and lets itself be revoked, the kernel says when a page is
 * registered: one of each provider that this process exports through p2pdma_export, with each RDMA
 * device. Nothing is posted, so nothing is read or written. No state, no locks of its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include <p2pdma/buffer.h>
#include <p2pdma/mr.h>

#include "doctor.h"

static void try_vfio(struct doctor *doctor, const char *subject,
		     const struct pci_function *function)
{
	struct p2pdma_context *context = doctor->context;
	struct vfio_open open = VFIO_OPEN_INIT;
	struct cause why = {.text = ""};
	int r;

	pthread_mutex_lock(&context->open_lock);
	r = vfio_open(&context->vfio, function, &why, &open);
	if (r) {
		doctor_add(doctor, DOCTOR_TRY_VFIO, P2PDMA_SEVERITY_UNKNOWN, subject,
			   "not asked, as it can't be opened: %s", why.text);
		doctor_advise(doctor, "`modprobe vfio_iommu_type1` where that is what lacks; who "
				      "has it open shows in `fuser -v /dev/vfio/*`");
	} else if (vfio_can_export(context->sys, open.fd)) {
		doctor_add(doctor, DOCTOR_TRY_VFIO, P2PDMA_SEVERITY_PROBLEM, subject,
			   "VFIO of this kernel doesn't export its BARs as DMABUFs");
		doctor_advise(doctor, "a kernel from 6.19 on does, where it does peer-to-peer DMA; "
				      "or bind the function to p2pdma_export");
	} else {
		doctor_add(doctor, DOCTOR_TRY_VFIO, P2PDMA_SEVERITY_OK, subject,
			   "VFIO exports its BARs as DMABUFs");
	}
	vfio_close(&context->vfio, &open);
	pthread_mutex_unlock(&context->open_lock);
}

static void try_register(struct doctor *doctor, struct p2pdma_buffer *buffer, const char *provider,
			 const struct doctor_rdma *rdma)
{
	struct p2pdma_mr *mr = NULL;
	char subject[PCI_PROVIDER_NAME_SIZE + 72];
	int r;

	snprintf(subject, sizeof(subject), "%s to %s", provider, rdma->name);
	r = p2pdma_mr_register(rdma->pd, buffer, 0, doctor->context->page_size_bytes, 0,
			       IBV_ACCESS_LOCAL_WRITE, &mr);
	if (!r) {
		p2pdma_mr_deregister(mr);
		doctor_add(doctor, DOCTOR_TRY_REGISTER, P2PDMA_SEVERITY_OK, subject,
			   "a page was registered, and can be taken back");
		return;
	}
	doctor_add(doctor, DOCTOR_TRY_REGISTER, P2PDMA_SEVERITY_PROBLEM, subject, "%s",
		   p2pdma_context_error(doctor->context));
	doctor_advise(doctor,
		      "`p2pctl check %s %s` says what the path is; see rdma.register and "
		      "rdma.revoke for what the device can do",
		      provider, rdma->name);
}

static void try_bar(struct doctor *doctor, const char *function, uint32_t bar)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_context *context = doctor->context;
	struct p2pdma_range page = {0, context->page_size_bytes};
	struct p2pdma_provider *provider = NULL;
	struct p2pdma_buffer *buffer = NULL;
	char name[PCI_PROVIDER_NAME_SIZE];
	int r;

	snprintf(name, sizeof(name), "%s/%" PRIu32, function, bar);
	options.backend = P2PDMA_BACKEND_EXPORT;
	r = p2pdma_provider_find(context, name, &provider);
	if (!r)
		r = p2pdma_buffer_new(context, provider, &page, 1, &options, &buffer);
	p2pdma_provider_unref(provider);
	if (r) {
		doctor_add(doctor, DOCTOR_TRY_REGISTER, P2PDMA_SEVERITY_PROBLEM, name, "%s",
			   p2pdma_context_error(context));
		doctor_advise(
			doctor,
			"the kernel's log may have more; `p2pctl unbind %s`, then `p2pctl bind "
			"%s`, begins anew and ends every lease of it",
			function, function);
		return;
	}
	list_for_each_entry(rdma, &doctor->rdmas, struct doctor_rdma, link)
		try_register(doctor, buffer, name, rdma);
	p2pdma_buffer_free(buffer);
}

static void try_one(struct doctor *doctor, const struct doctor_provider *provider)
{
	struct pci_function function;
	char path[64];

	snprintf(path, sizeof(path), "p2pdma/%s", provider->function);
	if (pci_function_query(doctor->context->sysfs_fd, &provider->address, &function))
		return;
	if (vfio_is_bound(&function)) {
		try_vfio(doctor, provider->name, &function);
		return;
	}
	if (doctor->context->sys->access_at(doctor->context->dev_fd, path, R_OK | W_OK))
		return;
	for (uint32_t bar = 0; bar < PCI_NR_BARS; bar++)
		if (provider->memories & 1U << bar)
			try_bar(doctor, provider->function, bar);
}

void doctor_try(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->nr_providers; i++)
		try_one(doctor, &doctor->providers[i]);
}
