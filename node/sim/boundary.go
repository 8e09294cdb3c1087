package sim

import (
	"errors"

	"github.com/sage-p2p/sage-p2p/atp"
)

// What ends a machine in the middle of what it does.
var (
	errCrash  = errors.New("sim: the machine has lost power")
	errKilled = errors.New("sim: the process was killed")
	errIO     = errors.New("sim: input/output error")
	errFull   = errors.New("sim: no space left on the disk")
	errSpoilt = errors.New("sim: the disk does not give back what was written")
)

// place is a boundary of the loop: right before one effect of an Output, or within
// one that takes several steps on the disk.
type place uint8

// The places, in the order of an Output's effects.
const (
	atOpen place = iota // what the last process left is synced
	atGossip
	atVerify
	atMute
	atReturn
	atFinalBody
	atFinalNodes
	atFinalHead
	atFinalSync
	atLocal
	atLocalSync
	atBody
	atBodySync
	atRecord       // the first copy of the signer's record
	atSecondRecord // and the second
	atRecordSync
	atSigned // the signatures are there
	atSend
	atTimer
	atFetch
	atAnswer
	atPublish
	atEnd
	places
)

func (p place) String() string {
	return [places]string{
		"open", "gossip", "verify", "mute", "return", "final body", "final nodes", "final head", "final sync",
		"local", "local sync", "body", "body sync", "record", "second copy of the record", "record sync", "signed",
		"send", "timer", "fetch", "answer", "publish", "end",
	}[p]
}

// writesStore reports a place where the chain's store grows.
func (p place) writesStore() bool {
	switch p {
	case atFinalBody, atFinalNodes, atFinalHead, atLocal, atBody:
		return true
	}
	return false
}

// onDisk reports a place where the disk may fail.
func (p place) onDisk() bool {
	switch p {
	case atFinalSync, atLocalSync, atBodySync, atRecord, atSecondRecord, atRecordSync:
		return true
	}
	return p.writesStore()
}

// placeNamed returns the place that a script names.
func placeNamed(name string) (place, bool) {
	for p := range places {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}

// happens reports whether a failure can come at a place.
func (p place) happens(failure error) bool {
	switch failure {
	case errIO:
		return p.onDisk()
	case errFull:
		return p.writesStore()
	}
	return true
}

// fuse ends a machine at a place: the one that is named, or after so many. Without
// err it does not burn.
type fuse struct {
	err  error
	at   place
	left int                // if positive: places to go, whatever at says
	off  atp.Span           // how long the machine is off then
	hit  func(place, error) // told when it burns
}

// light has a failure happen.
func (f *fuse) light(failure error, at place, left int, off atp.Span) {
	f.err, f.at, f.left, f.off = failure, at, left, off
}

// burn passes a place, and returns what happens there.
func (f *fuse) burn(p place) error {
	if f.err == nil {
		return nil
	}
	switch {
	case !p.happens(f.err):
		return nil
	case f.left > 1:
		f.left--
		return nil
	case f.left == 0 && f.at != p:
		return nil
	}
	err := f.err
	f.err = nil
	if f.hit != nil {
		f.hit(p, err)
	}
	return err
}
