// Package bft decides which block is final at each height. It is HotStuff-2
// with one instance per height, rotating leaders and two voting phases, PREPARE
// and COMMIT: three message delays with a correct leader, and no fixed delay
// anywhere.
//
// A [Core] is the state machine of one height. It performs no I/O, reads no
// clock, starts no goroutine and draws no random number: the same inputs always
// give the same [Output]. Timers are data. It never sees a block's contents,
// which are the application's to judge, and never a message that no [Verifier]
// has verified. It never signs: it says what may be signed, a [Record] admits
// that or refuses, and the owner of the key makes the record durable first.
//
// Sources: D. Malkhi and K. Nayak, "HotStuff-2: Optimal Two-Phase Responsive
// BFT", 2023; M. Yin, D. Malkhi, M. K. Reiter, G. Golan-Gueta and I. Abraham,
// "HotStuff: BFT Consensus with Linearity and Responsiveness", PODC 2019.
// Votes go to everyone instead of through the leader, and a TC may be made of
// Timeouts of different views; neither is in the papers.
//
// # Rules
//
//	R1  propose    leader(h, v): when there is work (v = 0), or on TC(h, v−1)
//	R2  prepare    vote PREPARE for a valid, justified Proposal of this view
//	R3  lock       on QC(h, v, b): highQC, enter v, vote COMMIT
//	R4  finalise   on CommitCert(h, v, b): b is final; spread the certificate
//	R5  time out   give a view up: by timer, or because f+1 have
//	R6  next view  on TC(h, v): enter v+1
//
// # Invariants
//
// Of n validators at most f = ⌊(n−1)/3⌋ are byzantine; q = ⌈(n+f+1)/2⌉. A
// correct validator, through any crash, and all statements being of one height:
//
//	S1   says at most one Proposal, one PREPARE, one COMMIT and one Timeout in
//	     a view, each kind in growing views.
//	S2   counts a certificate only with q signers: two quorums share at least
//	     f+1 validators, hence a correct one, and q ≤ n−f.
//	S3   says no Proposal and no PREPARE in v after a Timeout of a view ≥ v.
//	S4   says COMMIT (v, b) only on QC(v, b).
//	S5   says no COMMIT in v after a Timeout of a view ≥ v.
//	S6   knows a highQC that only grows, at least as high as every QC that it
//	     said COMMIT on, and declares it in its Timeouts.
//	S7   accepts a TC(v) only of q Timeouts, the lowest of view v, with one QC of
//	     exactly the highest view that they declare (none if none declares one).
//	S8   says PREPARE in v > 0 only with a TC(v−1) whose QC is absent or names
//	     the block. Leaders propose so.
//	S9   says PREPARE only for a block that the application finds valid, thus one
//	     that extends the final block of the height below.
//	S10  says nothing before its record, with highQC's certificate, is durable;
//	     resumes from that record, in no lower view than it or highQC is of; and
//	     says the same bytes again or something that S1 to S6 allow after it.
//	S11  takes a block for final only on a CommitCert: q COMMITs of one view for
//	     one block.
//	S12  takes part in a height, and counts what is of it, only with the set of
//	     that height, which the final block of the height below fixes.
//
// # Agreement
//
// No two different blocks are final at one height.
//
// Within a view. Let two blocks have a QC in (h, v). By S2 some correct
// validator said PREPARE for both, against S1. So at most one block has a QC in
// (h, v).
//
// Across views. Let CommitCert(h, v, b) exist. By S2 it has a correct signer,
// so by S4 QC(h, v, b) exists. Claim: every QC(h, w, ·) with w ≥ v names b.
// Otherwise let QC(h, w, b′), b′ ≠ b, be the first such QC to come to exist; by
// the first part w > v. The first correct validator to say PREPARE b′ at w did so
// on a TC(h, w−1) (S8), before QC(h, w, b′) existed. The q signers of that TC
// meet the q signers of the CommitCert in a correct validator (S2). Its Timeout
// was of a view ≥ w−1 ≥ v (S7), so its COMMIT in v had come before it (S5), and
// so it declared a highQC of view ≥ v (S6, through crashes by S10). Hence the
// TC carries a QC of view ≥ v (S7), which came to exist before QC(h, w, b′), and
// so names b. By S8 the validator said PREPARE for b only. Contradiction.
//
// Now let CommitCert(h, v, b) and CommitCert(h, w, b′) exist, v ≤ w. By S4
// QC(h, w, b′) exists, by the claim b′ = b. With S11 nobody takes two blocks for
// final.
//
// Across heights. By S9 and S2 a block that is certified extends the final
// block of the height below, by S11 there is one final block to extend, and so
// the final blocks form one chain. ∎
//
// # Sets that change
//
// The set may change with every height, by any number, without quorums of the
// old and the new set having anybody in common. By induction: the genesis fixes
// the first set. If the blocks up to h are one chain, the one at h fixes the
// set of h+1, and with S12 everybody counts h+1 by that set alone; of it at most
// f are byzantine, and the argument above is about it. Nobody says anything of
// h+1 before h is final for it, so no view of h+1 is older than its set. Who
// comes anew, or with another key, has said nothing of h+1; who was there before and comes again has
// its record (S10), which its leaving did not touch.
//
// What it takes: of every set at most f are byzantine for as long as anybody
// judges a certificate of its height. Those who left can still sign for the
// heights that they had; to who has the blocks of those it means nothing.
//
// Who enters with h+1 may know of h later than the old ones, who may know of
// h+1 before it does: what it says too early is lost ([Ahead]), and is said
// again, like everything (L4, L6, Status).
//
// S3 is not used above. It keeps a validator that has given a view up from
// helping that view to a QC on which it could not COMMIT any more.
//
// # Liveness
//
// Once messages arrive, all correct validators come into one height and view,
// and the first correct leader with a TC decides in three delays, because:
//
//	L1  a validator joins the highest view that f+1 have given up or passed.
//	L2  a TC is made of the q newest Timeouts, of whatever views: one that needs
//	    q Timeouts of one view deadlocks when a TC was shown to some only.
//	L3  messages of every view of the height, and of the next height, wait in
//	    slots, one for each validator and kind, the highest view kept.
//	L4  who decides sends the CommitCert to all who have not said COMMIT: they
//	    may have no timer running, and would never ask.
//	L5  a certificate counts however it arrived: made here, in a Proposal, a
//	    Timeout, a TC or a Status; so a missing link is healed by any third.
//	L6  the newest Timeout is repeated while its view lasts.
//	L7  the view of a leader known to be gone is given up at once, but only
//	    without its Proposal, and in views ≤ f with the timer running: unbounded,
//	    a flapping link might skip views at will.
//
// Each rule in the code names the invariants that it keeps.
package bft
