package signer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

func record(b byte, size int) []byte { return bytes.Repeat([]byte{b}, size) }

// twice returns a disk that holds a record in both slots.
func twice(t *testing.T, rec []byte) *disk {
	t.Helper()
	d := newDisk()
	if err := (&slots{file: d}).write(rec); err != nil {
		t.Fatal(err)
	}
	return d
}

// A power cut during an update leaves the old or the new record, whole, and
// the update after it is safe again.
func TestTornUpdateLeavesOldOrNew(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{100, 2000, maxRecord} {
		old, next := record('o', size), record('n', size)
		for stop := range 4 { // writes and syncs done when the power goes
			d := twice(t, old)
			interrupt(t, d, next, stop)
			for i, kept := range d.outcomes(rng) {
				_, got, err := loadSlots(d.cut(kept...))
				if err != nil {
					t.Fatalf("size %d, cut after step %d, outcome %d: %v", size, stop, i, err)
				}
				isOld, isNew := bytes.Equal(got, old), bytes.Equal(got, next)
				if !isOld && !isNew || stop >= 1 && !isNew {
					t.Fatalf("size %d, cut after step %d, outcome %d: have a record of %q…, old %v, new %v", size, stop, i, got[0], isOld, isNew)
				}
			}
		}
	}
}

// interrupt runs the beginning of an update: write, sync, write, sync.
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
	for step, slot := range []int{s.first, s.first, 1 - s.first, 1 - s.first} {
		if step > steps {
			return
		}
		if step%2 == 0 {
			if _, err := d.WriteAt(raw, int64(slot)*slotGap); err != nil {
				t.Fatal(err)
			}
		} else if err := d.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// The update after a torn one begins with the torn slot: at no moment is the
// only whole record in danger.
func TestRepairNeverEndangersTheOnlyCopy(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	old, next, last := record('o', 900), record('n', 900), record('l', 900)
	for stop := range 4 {
		d := twice(t, old)
		interrupt(t, d, next, stop)
		for _, torn := range sample(rng, d.outcomes(rng), 25) {
			for again := range 4 {
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

// A drive that forgets one sync may cost both copies, which is noticed; it
// never yields a mixture.
func TestForgottenSyncNeverMixes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	old, next := record('o', 900), record('n', 900)
	d := twice(t, old)
	d.lieSync = d.syncs + 1
	interrupt(t, d, next, 2)
	for i, kept := range d.outcomes(rng) {
		_, got, err := loadSlots(d.cut(kept...))
		if err == nil && !bytes.Equal(got, old) && !bytes.Equal(got, next) {
			t.Fatalf("outcome %d: a record that nobody wrote", i)
		}
		if err != nil && !errors.Is(err, errNoSlot) {
			t.Fatalf("outcome %d: have %v, want errNoSlot", i, err)
		}
	}
}

func TestDamagedSlotIsRepaired(t *testing.T) {
	rec := record('r', 700)
	for slot := range 2 {
		d := twice(t, rec)
		d.durable[slot*slotGap+headerSize+5] ^= 1
		s, got, err := loadSlots(d)
		if err != nil || !bytes.Equal(got, rec) {
			t.Fatalf("slot %d damaged: have %.10q, %v", slot, got, err)
		}
		if err := s.write(rec); err != nil {
			t.Fatal(err)
		}
		d.durable[(1-slot)*slotGap+headerSize+5] ^= 1 // now the other goes
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
	d := twice(t, record('o', 10))
	s, _, err := loadSlots(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.write(record('n', maxRecord+1)); err == nil {
		t.Fatal("written")
	}
	if len(d.pending) > 0 || d.writes > 2 {
		t.Error("something was written before the size was judged")
	}
}
