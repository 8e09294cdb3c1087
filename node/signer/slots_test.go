package signer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func record(b byte, size int) []byte { return bytes.Repeat([]byte{b}, size) }

// settled returns a disk that holds a record in all slots.
func settled(t *testing.T, rec []byte) *disk {
	t.Helper()
	d := newDisk()
	s := newSlots(d)
	if err := errors.Join(s.write(rec), s.write(rec)); err != nil {
		t.Fatal(err)
	}
	return d
}

// updateSteps are those of an update: write, write, sync.
const updateSteps = 3

// A power cut during an update leaves the old or the new record, whole, and
// the update after it is safe again.
func TestTornUpdateLeavesOldOrNew(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{100, 2000, maxRecord} {
		old, next := record('o', size), record('n', size)
		for stop := range updateSteps { // writes and syncs done when the power goes
			d := settled(t, old)
			interrupt(t, d, next, stop)
			for i, kept := range d.outcomes(rng) {
				_, got, err := loadSlots(d.cut(kept...))
				if err != nil {
					t.Fatalf("size %d, cut after step %d, outcome %d: %v", size, stop, i, err)
				}
				isOld, isNew := bytes.Equal(got, old), bytes.Equal(got, next)
				if !isOld && !isNew || stop == updateSteps-1 && !isNew {
					t.Fatalf("size %d, cut after step %d, outcome %d: have a record of %q…, old %v, new %v", size, stop, i, got[0], isOld, isNew)
				}
			}
		}
	}
}

// interrupt runs the beginning of an update.
func interrupt(t *testing.T, d *disk, rec []byte, steps int) {
	t.Helper()
	s, _, err := loadSlots(d)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := encodeSlot(s.counter+1, rec)
	if err != nil {
		t.Fatal(err)
	}
	for i := range copies {
		if _, err := d.WriteAt(raw, offset(s.next, i)); err != nil {
			t.Fatal(err)
		}
		if i == steps {
			return
		}
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
}

// The update after a torn one overwrites the torn pair: at no moment is the only
// whole record in danger.
func TestRepairNeverEndangersTheOnlyCopy(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	old, next, last := record('o', 900), record('n', 900), record('l', 900)
	for stop := range updateSteps {
		d := settled(t, old)
		interrupt(t, d, next, stop)
		for _, torn := range sample(rng, d.outcomes(rng), 25) {
			for again := range updateSteps {
				second := d.cut(torn...)
				interrupt(t, second, last, again)
				for i, kept := range sample(rng, second.outcomes(rng), 25) {
					if _, _, err := loadSlots(second.cut(kept...)); err != nil {
						t.Fatalf("cut after step %d, then after step %d, outcome %d: %v", stop, again, i, err)
					}
				}
			}
		}
	}
}

// What a killed process wrote is in memory, perhaps nowhere else, and is what the
// next process reads: the power may go while that one writes.
func TestWhatAKilledProcessLeftIsSyncedBeforeItIsReliedOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for stop := range updateSteps {
		d := settled(t, record('o', 900))
		interrupt(t, d, record('n', 900), stop) // killed: nothing is lost yet
		for again := range updateSteps {
			second := &disk{durable: slices.Clone(d.durable), pending: slices.Clone(d.pending)}
			interrupt(t, second, record('l', 900), again)
			all := second.outcomes(rng)
			for i, kept := range all[max(0, len(all)-200):] { // those that keep and tear sectors of both pairs
				if _, _, err := loadSlots(second.cut(kept...)); err != nil {
					t.Fatalf("killed after step %d, cut after step %d, outcome %d: %v", stop, again, i, err)
				}
			}
		}
	}
}

// A drive that forgets the sync of an update may lose it, and never yields a
// mixture.
func TestForgottenSyncNeverMixes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	old, next := record('o', 900), record('n', 900)
	d := settled(t, old)
	d.lieSync = d.syncs + 2 // the first is of loading
	interrupt(t, d, next, updateSteps)
	for i, kept := range d.outcomes(rng) {
		_, got, err := loadSlots(d.cut(kept...))
		if err != nil || !bytes.Equal(got, old) && !bytes.Equal(got, next) {
			t.Fatalf("outcome %d: %.10q, %v: a record that nobody wrote", i, got, err)
		}
	}
}

// One sector that goes bad takes nothing back, whatever copy it is in and however
// long ago the update was.
func TestDamagedSlotIsRepaired(t *testing.T) {
	old, rec := record('o', 700), record('r', 700)
	for slot := range pairs * copies {
		d := settled(t, old)
		interrupt(t, d, rec, updateSteps) // and not settled
		d.durable[slot*slotGap+headerSize+5] ^= 1
		s, got, err := loadSlots(d)
		if err != nil || !bytes.Equal(got, rec) {
			t.Fatalf("slot %d damaged: have %.10q, %v", slot, got, err)
		}
		if err := errors.Join(s.write(rec), s.write(rec)); err != nil {
			t.Fatal(err)
		}
		for other := range pairs * copies { // now all others go
			if other != slot {
				d.durable[other*slotGap+headerSize+5] ^= 1
			}
		}
		if _, got, err := loadSlots(d); err != nil || !bytes.Equal(got, rec) {
			t.Fatalf("slot %d was not repaired: %.10q, %v", slot, got, err)
		}
	}
}

func TestEveryFlippedBitOfASlotIsNoticed(t *testing.T) {
	raw, err := encodeSlot(7, record('r', 300))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		raw[bit/8] ^= 1 << (bit % 8)
		if _, _, ok := decodeSlot(raw); ok {
			t.Fatalf("bit %d flipped, and the slot still reads", bit)
		}
		raw[bit/8] ^= 1 << (bit % 8)
	}
}

func TestRecordLargerThanASlotIsRefused(t *testing.T) {
	d := settled(t, record('o', 10))
	s, _, err := loadSlots(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write(record('n', maxRecord+1)); err == nil {
		t.Fatal("written")
	}
	if len(d.pending) > 0 || d.writes > pairs*copies {
		t.Error("something was written before the size was judged")
	}
}
