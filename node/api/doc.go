// Package api serves a node over HTTP: to the command line, to programs, to a
// browser on the same machine.
//
// It imports no node: [Node] is the little that it needs of one. What it
// answers is JSON of package view. Reads change nothing and need no token;
// writes need the bearer token of HOME/api.token.
//
// # Who may ask
//
// The server binds to loopback only. That alone does not keep a web page out
// (the browser runs on the same machine), so:
//
//	H1  the Host header is one of the addresses that the server listens on, by
//	    number or as localhost: a name that was rebound to 127.0.0.1 is refused.
//	H2  no request has a foreign Sec-Fetch-Site: reads cost work and places, too.
//	    One that changes anything has no foreign Origin either.
//	H3  a request that changes anything carries the token, compared in constant time.
//	H4  GET and HEAD change nothing.
//	H5  no answer may be framed, sniffed or run: CSP and nosniff on all of them.
//	H6  headers, bodies, times and the number of requests at once are bounded.
//	H7  a request that names a home is answered by no other home's node. A node
//	    that was killed leaves its address behind, where another may listen now.
package api
