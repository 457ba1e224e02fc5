/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_BW_H
#define EXAMPLES_BW_H

/* What bw_server and bw_client tell each other over their socket. */
#define BW_SERVICE "18515"
#define BW_SEED	   9 /* of the pattern that the client leaves in the server's memory */

enum bw_word {
	BW_WRITTEN = 1, /* the client: all of it holds the pattern */
	BW_RIGHT = 2,	/* the server: so it is */
	BW_WRONG = 3,
	BW_REVOKED = 4, /* the server: it has been taken back */
};

#endif /* EXAMPLES_BW_H */
