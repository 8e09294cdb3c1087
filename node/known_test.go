package node

import "testing"

func TestWhatWasCheckedIsRememberedWithinBounds(t *testing.T) {
	w, k := newWorld(t, 1), newKnown()
	first := w.tx(0, 0, nil)
	k.add(first)
	if got, ok := k.get(first.Address()); !ok || got.ID() != first.ID() {
		t.Fatalf("get = %v, %v, want what was added", got.ID(), ok)
	}
	if _, ok := k.get(first.ID()); ok {
		t.Error("a transaction is found by its ID: another signature under it would pass unchecked")
	}
	size := len(first.Bytes())
	for n := uint64(1); n < uint64(2*maxKnownBytes/size)+2; n++ {
		k.add(first) // what matters is the bytes
	}
	k.add(w.tx(0, 1, nil))
	if have := (len(k.young) + len(k.old)) * size; have > 2*maxKnownBytes {
		t.Errorf("remembers %d bytes", have)
	}
}
