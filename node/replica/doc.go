// Package replica joins the rules of consensus (bft), of execution (chain) and
// of the mempool into one deterministic machine. The real node and the
// simulator drive the same code: the bugs that hurt live in that joint.
//
// A [Replica] performs no input or output, reads no clock, starts no goroutine
// and draws no random numbers. It reads what is already stored (state nodes,
// blocks, certificates) through [Chain]; the time comes with every step; what
// must be done goes out as an [Output], whose order is a contract.
//
// # Invariants
//
//	J1  a Proposal or a PREPARE leaves only when the block's body is on disk, and
//	    the signer's record of it. It is handed to the signer in an Output whose
//	    Persist holds the body, or after one that did; which of the two is on
//	    disk first does not matter. If power goes between them and the body is
//	    lost, the statement has not left, and is not repeated after the start.
//	J2  a block is published as final only in an Output whose Persist holds it,
//	    and heights are published one after the other, each once.
//	J3  nothing is voted for that was not executed here with equal roots; a
//	    final block whose roots differ here ends the process (ErrFatal).
//	J4  no signature is asked for at or below the height that the signer's
//	    record calls final: a store that fell behind it syncs forward first.
//	J5  a message enters bft.Core only as a value that verification made, with
//	    the validator set of its own height.
//	J6  without work no timer runs and no message is sent.
//	J7  whatever a peer sends costs bounded memory; each bound is a constant in
//	    limits.go, and each table says which of them binds it.
//	J8  after a start nothing is signed for the first time until two timeouts have
//	    passed since a validator was connected: with a key made by this process, until
//	    enough others have told where they stand. It is the validators of today
//	    that count, so one that is behind catches up first, for some
//	    timeouts more. Who has no vote at the start listens until it has one; who
//	    is alone in its set, and has a chain already, gives whoever is connected
//	    two timeouts from the start.
//	J9  one that is mute signs again only above a height at which it can have said
//	    nothing, by the word of n − q + f + 1 others, and only after a height above
//	    that became final without it (reentry.go has the proof).
//
// J1 and J2 are, with the signer, "what is durable before what is said"; with
// R1–R6 of bft they give A1, A6 and A7 of the design.
//
// # Driving it
//
// The driver takes an input, calls Step, and executes the Output completely and
// in order before the next Step, so that no acknowledgement is needed. If the
// process dies between two effects, what was persisted is there and what
// came after was never said. The first input is [Start].
package replica
