/* SPDX-License-Identifier: MIT */
#ifndef REQUEST_H
#define REQUEST_H

#include "client/client.h"

/* One request on its way through its handler. */
struct request {
	struct client *client;
	struct server *server;
	struct wire_header header;
	struct message *message; /* its descriptor is the handler's to take */
	struct cause cause;
	union {
		struct wire_hello hello;
		struct wire_list list;
		struct wire_acquire acquire;
		struct wire_attach attach;
		struct wire_lease_id lease_id;
		struct wire_renew renew;
		struct wire_revoke revoke;
		struct wire_drain drain;
		struct wire_monitor monitor;
		struct wire_stats stats;
		struct wire_policy_test policy_test;
		struct wire_publish publish;
	} body;
};

/* The ways in which every handler ends; request_failed() says the cause that is there already. */
#define request_done(request, body)                                                                \
	client_reply((request)->client, &(request)->header, body, sizeof(*(body)), -1)
static inline void request_failed(const struct request *request, int error)
{
	client_fail(request->client, &request->header, error, request->cause.text);
}

#define request_refuse(request, error, ...)                                                        \
	request_failed(request, cause_fail(&(request)->cause, error, __VA_ARGS__))

/* It is handled again when something has settled (deferred.h); or it has been answered. */
void request_defer(struct request *request);
/* Nothing that outlives us may be answered before the journal is where it outlives us. Then it was deferred. */
bool request_waits_for_journal(struct request *request);

/* A text of the body; an unsound one has been answered. */
bool request_text_is_sound(struct request *request, const char *text, size_t size_bytes);
/* "" is every provider. An unsound one has been answered. */
bool request_selector(struct request *request, const char *text, struct selector *ret_selector);

void request_hello(struct request *request);
void request_status(struct request *request);
void request_monitor(struct request *request);
void request_stats(struct request *request);

void request_providers(struct request *request);
void request_leases(struct request *request);

void request_acquire(struct request *request);
void request_attach(struct request *request);
void request_release(struct request *request);
void request_renew(struct request *request);
void request_ack(struct request *request);

void request_revoke(struct request *request);
void request_drain(struct request *request);
void request_policy_test(struct request *request);

void request_publish(struct request *request);
void request_unpublish(struct request *request);

/* A lease as clients see it; the token for its holder only. */
void request_fill_lease(struct wire_lease *ret_record, const struct lease *lease,
			bool is_for_holder);

#endif /* REQUEST_H */
