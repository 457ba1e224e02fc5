// SPDX-License-Identifier: MIT
/*
 * p2pd: is it there, is it ours, and can it lease what it has?
 *
 * Not being there is no fault where this process can export by itself. No state but what is told to the
 * other checks, no locks.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <p2pdma/broker.h>

#include "doctor.h"

static void check_providers(struct doctor *doctor)
{
	struct p2pdma_broker_list *list = NULL;

	if (p2pdma_broker_list_providers(doctor->context, NULL, &list)) {
		doctor_add(doctor, DOCTOR_P2PD_PROVIDER, P2PDMA_SEVERITY_UNKNOWN, "p2pd",
			   "it doesn't list its providers: %s",
			   p2pdma_context_error(doctor->context));
		doctor_advise(doctor, "`journalctl -u p2pd` has more");
		return;
	}
	for (size_t i = 0; i < p2pdma_broker_list_count(list); i++) {
		const struct p2pdma_broker_provider *provider =
			p2pdma_broker_list_provider(list, i);

		if (!(provider->flags & P2PDMA_PROVIDER_UNAVAILABLE)) {
			doctor->nr_leased_out++;
			continue;
		}
		doctor_add(doctor, DOCTOR_P2PD_PROVIDER, P2PDMA_SEVERITY_WARNING, provider->name,
			   "p2pd can't lease it: %s", provider->cause);
		doctor_advise(doctor, "`journalctl -u p2pd` has more; `p2pctl show %s`",
			      provider->name);
	}
	p2pdma_broker_list_free(list);
	doctor_add(doctor, DOCTOR_P2PD_PROVIDER,
		   doctor->nr_leased_out ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_WARNING, "p2pd",
		   "%zu providers to lease", doctor->nr_leased_out);
	if (!doctor->nr_leased_out)
		doctor_advise(doctor,
			      "`p2pctl bind FUNCTION` gives a function to p2pdma_export, and "
			      "p2pd takes it by itself");
}

static void tell_unreachable(struct doctor *doctor, int error)
{
	const char *cause = p2pdma_context_error(doctor->context);

	switch (error) {
	case -ECONNREFUSED:
		doctor_add(doctor, DOCTOR_P2PD_SOCKET,
			   doctor->nr_exportable ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_WARNING,
			   "p2pd", "%s%s", cause,
			   doctor->nr_exportable ? "; this process can export without it" : "");
		if (!doctor->nr_exportable)
			doctor_advise(doctor, "`systemctl enable --now p2pd.socket`, or name its "
					      "socket in P2PDMA_SOCKET");
		break;
	case -EACCES:
	case -EPERM:
		doctor_add(doctor, DOCTOR_P2PD_SOCKET, P2PDMA_SEVERITY_PROBLEM, "p2pd", "%s",
			   cause);
		doctor_advise(doctor, "join the group that the socket belongs to (SocketGroup= of "
				      "p2pd.socket), and log in again");
		break;
	default:
		doctor_add(doctor, DOCTOR_P2PD_SOCKET, P2PDMA_SEVERITY_PROBLEM, "p2pd", "%s",
			   cause);
		doctor_advise(doctor, "`systemctl status p2pd` and `journalctl -u p2pd` say more");
	}
}

static void check_version(struct doctor *doctor, const char *version)
{
	bool is_same = !strcmp(version, p2pdma_version_string());

	doctor_add(doctor, DOCTOR_P2PD_VERSION,
		   is_same ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_WARNING, "p2pd",
		   "p2pd is %.60s, libp2pdma is %s", version, p2pdma_version_string());
	if (!is_same)
		doctor_advise(doctor, "they work together, with what both know; after an upgrade "
				      "`systemctl restart p2pd` ends no lease");
}

void doctor_check_broker(struct doctor *doctor)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	int r;

	/* A context that doesn't want p2pd doesn't want to hear of it. */
	if (!doctor->context->broker)
		return;
	r = p2pdma_broker_query(doctor->context, &status);
	if (r) {
		tell_unreachable(doctor, r);
		return;
	}
	doctor_add(doctor, DOCTOR_P2PD_SOCKET, P2PDMA_SEVERITY_OK, "p2pd",
		   "answers: %" PRIu32 " providers, %" PRIu32 " leases", status.nr_providers,
		   status.nr_leases);
	check_version(doctor, status.version);
	doctor_add(doctor, DOCTOR_P2PD_POLICY,
		   status.policy_refused ? P2PDMA_SEVERITY_WARNING : P2PDMA_SEVERITY_OK, "p2pd",
		   status.policy_refused ? "its policy isn't the one in its files: %" PRIu32
					   " reloads were refused" :
					   "its policy is the one in its files (%" PRIu32
					   " reloads refused)",
		   status.policy_refused);
	if (status.policy_refused)
		doctor_advise(doctor,
			      "`p2pd --check` names the line; then `systemctl reload p2pd`");
	check_providers(doctor);
}
