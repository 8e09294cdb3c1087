// Package chain is the transition from one state to the next: transactions,
// blocks, the genesis, and [Apply], which is a pure function of a [State] and a
// [Block].
//
// It decides and does nothing else: it reads no clock, starts no goroutine and
// draws no random number. State nodes are read through [Nodes] and handed out
// in [Result] to be saved; keys stay with whoever gives [SignTx] a function.
//
// # Invariants
//
//	A2  µATP is neither made nor lost: package atp keeps it operation by
//	    operation, Apply checks the totals after every block, and
//	    [State.Check] adds everything up.
//	A3  whatever has a deadline stands in the state's index Due, and the index
//	    fires it although nobody asks.
//	A4  no operation names a reputation or a settlement: both are computed, and
//	    told in receipts.
//	A5  the same block on the same state gives the same root everywhere. The
//	    trees of the state do not depend on the order in which they grew, and
//	    nothing is done in the order of a Go map.
//	C1  there is one encoding of every value, and [DecodeExactly] takes no other.
//	C2  only a [VerifiedTx] is executed, and only on the chain it is signed for.
//	C3  the operations of a transaction take effect together or not at all; its
//	    nonce and fee are spent either way.
//	C4  the validators of a height are in the state of the block below. They
//	    change at the end of a block and nowhere else, but for votes that are
//	    taken away or get another key at once; no set is empty, and no
//	    admission, no leaving and no absence makes one of two.
//
// A transaction is named by the CID of what is signed ([Transaction.ID]); a
// block commits to the signed forms ([VerifiedTx.Address]). The parent of the
// first block is the genesis; there is no block of height 0.
//
// Other than the design has it: as many deadlines fire in a block as it has
// operations, or they could be made faster than they fire; a lock has a least
// amount; the grant to those who join is at most a 500th of the pool; only
// registered platforms become candidates; of those who want to leave, as many
// do as may, who asked first first; and the bond of one that has left answers for
// it an hour longer, or who lies would leave first.
package chain

//go:generate go run -tags cborgen ./gen/gen.go
