// Package signer is the only holder of the platform's Ed25519 key. Before a
// consensus signature leaves it, the record of it is on the disk, so that the
// platform never signs two things that contradict each other (A6), through any
// crash or power cut.
//
// # The record
//
// A home has two files of this package: [KeyFile] and [RecordFile]. The record
// (bft.Record, with the hashes of the chain and of the key) lies in its file in
// two pairs of copies. An update overwrites the pair with the older record, both
// copies of it, syncs once, and only then is the signature handed out. When
// nothing was signed for a moment, [Signer.Settle] brings the other pair up to
// it. The file has its full size from the beginning, is never renamed and never
// grows.
//
//	K1  at every moment one pair on the disk is whole: an update touches the
//	    other alone, and after a start begins with the pair that was not read,
//	    once that which was read has been written there again (slots.confirm).
//	K2  a signature is handed out only after two copies hold it, so that one
//	    sector that goes bad takes nothing back; at rest four do.
//	K3  what a record allows after a signature never contradicts it
//	    (bft.Record.Admit); the same statement gets the same bytes again.
//	K4  after an error of the disk nothing is written, read or signed again: a
//	    failed sync may have lost what was written, and a second one would lie.
//	K5  without a whole record of this key and this chain nothing is signed.
//	K6  one process holds a key at a time.
//	K7  once a peer has shown a statement of ours that the record does not know,
//	    nothing is signed, through any restart, until the operator has acted, or
//	    [Signer.Return] has raised the watermark above all that it can have said.
//	K8  a key signs for one chain at a time, and never again for one that it left.
//
// K1 and K2 give: whenever power goes, the record found afterwards holds every
// signature that was handed out. K3 and K5 give A6 on one machine; K6 keeps it
// to one. K8 allows to change the chain: all that is signed covers its genesis
// hash, so that nothing said in one contradicts anything in another, and what is
// forgotten with a chain is never needed. A restored disk image is beyond them: peers find it out (Status).
//
// # Why one sync suffices
//
// Two single copies, written and synced one after the other before a signature
// is handed out, cost twice the wait. During an update one of them is all there
// is, and a bad sector then loses the record; here a whole pair stands by. Power
// that goes during an update leaves the pair before it, and a signature that
// nobody has. What two syncs in a row withstand and one does not is a disk that
// forgets a flush once, or that spoils both copies of a pair at once: until Settle,
// a power cut then brings the older record back unnoticed. After it, the newest is
// on the disk by two flushes and in four places, and if none is readable, nothing
// is signed. So the design's rule is kept at rest, and for the moment between
// it rests on one honest flush and one good sector of two. Beyond that is the
// restored image, which peers find out.
//
// # The final height
//
// [Signer.Finalize] is written with the next vote, or by [Signer.Close], not
// at once. A restart needs no more: a vote at height h is only cast above a
// final block at h−1, so Height−1 of the record is a final height too, and the
// votes at Height itself are there to be repeated, not contradicted. A block
// store that has fallen behind that must sync forward before anything is
// signed.
package signer
