// Package sim is the judge of consensus: one goroutine, one seed, virtual time,
// and the real replica, chain, mempool and signer in machines whose links
// delay, drop, duplicate, reorder and partition, both ways or either, whose clocks are
// off by days and jump, which are slow, and which lose power or are killed between
// any two effects of an Output, within those that take several steps on the disk,
// and while they boot. Adversaries embed a correct machine and override one decision;
// what they send travels as bytes, which the others open, decode and verify as a node
// does.
//
// # Disks
//
// They lose and tear what was not synced, fail, fill up, are slow, turn a bit, and
// are put back to an older image of themselves: the signer's part, the store's, or
// both, again and again, also while a key is silent or after it was replaced. A sync
// that fails forgets that anything is left to write, as page caches do. The schedule
// keeps what the design presumes, and no more:
//
//   - Of a record that has forgotten something said, one peer that knows better
//     answers: nothing comes between the two until it is found out, and that has to
//     be before anything new is signed. It says nothing of when others answer.
//   - The validators that speak are a quorum without those that are silent, in this
//     set and in those that may follow it.
//   - What is final, or a body that others may have locked, is on one more disk
//     than the one that is set back or spoilt.
//   - Between two starts one copy of a record turns bad, not more.
//
// # What is checked
//
// After every event these are checked of all correct machines:
//
//	A1  no two different blocks are final at one height
//	A2  balances, locks, bonds, pool and discharge add up to the supply
//	A3  no lock ends twice
//	A4  no transaction is final that the sender, if correct, never signed
//	A5  a machine has the state root that the final block names
//	A6  no two signatures handed out contradict each other, no body is voted for
//	    that is not on the disk, and a restored image is found out before the first
//	    new signature; nobody falls silent whose image is the newest
//	A7  what was published as final is there after every restart, but for a disk
//	    that was set back, where it returns
//
// of every certificate that one of them believes, that each correct signer it names
// did say so,
//
// and of the validators, which come and go while a schedule runs, and take other
// keys: every certificate has the quorum of the set of its height, no set is empty
// and none becomes one of two but by evidence; no candidate enters after its time or,
// where it takes votes, without those of a quorum; who is taken for absent is missing
// from as many certificates, and f stays what it is; nobody correct is slashed; a bond
// outlives its vote; a key that was replaced sends nothing; and no young key moves the
// beacon,
//
// and at the end, once the faults have stopped: everything that a correct
// machine took in becomes final everywhere within [RecoveryBound], every lock
// ends, and then no correct machine says anything unasked. Adversaries that talk on
// are answered; once they are turned off, nothing is said any more.
//
// # What is real
//
// The replica with its core, the mempool, the chain and the signer with its record
// are those of the node. No block's execution is remembered: chain.Apply runs on
// every machine. For speed a signature is a hash, and so is a proof of the beacon; in
// one schedule of seventy both are real. The rest stands in for what has tests of its
// own:
//
//   - A log in memory (store.go) for the store of the chain:
//     chain/store.TestPowerCutLeavesAWholeHead, chain/store.TestNothingReturnedIsLost,
//     chain/store.TestKilledStoreLosesNothing.
//   - A second driver (effects.go) for the loop, its timers and its clock:
//     node.TestTheLoopCarriesOutAnOutputInItsOrder,
//     node.TestNothingIsSaidAfterAFailureOfOurOwn,
//     node.TestTimersFireInTurnAndOnlyTheNewestOfAKind,
//     node.TestAClockIsSetIfItAndTimeDisagree.
//   - A variable for the file that keeps a key silent:
//     node/signer.TestASilencedKeySignsNothingThroughAnyRestart,
//     node.TestAValidatorOnAnOldImageStaysSilentThroughARestart.
//   - A file in memory for that of the record, and a new one for a new key:
//     node/signer.TestKilledSignerNeverContradictsItself,
//     node/signer.TestACrashWhileAKeyIsReplacedLeavesOneKey,
//     node.TestAPlatformTakesAnotherKey.
//   - Functions (network.go) for connections and streams; one schedule in ten, and
//     what adversaries send, goes through the frames of node/wire.
//
// # Runs
//
// A run is a function of its seed. One that fails prints the seed; running it
// again gives the same trace, bit for bit. The README tells how to run, replay,
// shrink and read a schedule.
package sim
