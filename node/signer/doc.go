// Package signer is the only holder of the platform's Ed25519 key. Before a
// consensus signature leaves it, the record of it is on the disk, so that the
// platform never signs two things that contradict each other (A6), through any
// crash or power cut.
//
// # The record
//
// A home has two files of this package: [KeyFile] and [RecordFile]. The record
// (bft.Record, with the hashes of the chain and of the key) lies in its file
// twice. An update overwrites one copy, syncs it, overwrites the other, syncs
// it, and only then is the signature handed out. The file has its full size
// from the beginning, is never renamed and never grows.
//
//	K1  at every moment one copy on the disk is whole: an update touches the
//	    second only after the first is durable, and after a start begins with
//	    the copy that was not read.
//	K2  a signature is handed out only after both copies hold it.
//	K3  what a record allows after a signature never contradicts it
//	    (bft.Record.Admit); the same statement gets the same bytes again.
//	K4  after an error of the disk nothing is written, read or signed again: a
//	    failed sync may have lost what was written, and a second one would lie.
//	K5  without a whole record of this key and this chain nothing is signed.
//	K6  one process holds a key at a time.
//	K7  once a peer has shown a statement of ours that the record does not know,
//	    nothing is signed, through any restart, until the operator has acted.
//
// K1 and K2 give: whenever power goes, the record found afterwards holds every
// signature that was handed out. K3 and K5 give A6 on one machine; K6 keeps it
// to one. A restored disk image is beyond them: peers find it out (Status).
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
