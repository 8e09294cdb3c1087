// Package p2p carries bytes and verdicts between platforms. It knows no block,
// vote or task: what a frame means is decided by the functions that the caller
// gives to [New], and each of them answers with a [Verdict] at most.
//
// A [Host] is a libp2p host with a fixed list of transports and protocols:
//
//	/sage/hello/1  who are you, and of which federation (on every connection)
//	/sage/bft/1    one persistent stream per peer and direction; an outbox keeps
//	               the newest frame of each [Slot] and replays it on reopening
//	/sage/fetch/1  one request and its answer per stream
//	/sage/task/1   framed messages both ways, for the task layer
//	GossipSub      topics sage/<genesis>/<name>
//
// Hosts that cannot be dialled are reached through public ones, which relay for
// their federation, and make direct connections from there: seat.go, relay.go and
// punch.go. All of the above crosses a relay, and moves to a direct path.
//
// # What holds
//
//	P1  Nothing but hello is read from a connection whose hello has not ended
//	    well: same network name, same genesis (or both without one: forming). Only
//	    libp2p itself answers earlier: identify, ping and AutoNAT.
//	P2  No length that a peer claims is allocated before its bytes arrive, and
//	    each protocol has a cap. A frame, once begun, has a deadline as a whole,
//	    so that dripping bytes does not extend it.
//	P3  A peer costs bounded memory and work: streams per peer and protocol are
//	    limited, reading is slowed to a rate (the peer feels it as back
//	    pressure), outboxes and tables have sizes. See limits.go.
//	P4  A slow caller delays itself only: events are coalesced per peer, and
//	    [Host.Send] never blocks.
//	    Keys cost nothing, so what all strangers hold together is limited too:
//	    they share a part, and the rest is for kept peers and those of
//	    [Host.Favour]. See standing.go and places.go.
//	P5  A peer's fault is noted, scored, and ends in disconnection and a short
//	    ban; it never ends [Host.Run]. The first is logged, the rest counted.
//
// Locks guard tables only and are never held across I/O.
package p2p
