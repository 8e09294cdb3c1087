package chain

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/filecoin-project/go-hamt-ipld/v3"

	"github.com/sage-p2p/sage-p2p/atp"
)

// sameNode fails unless two nodes hold the same.
func sameNode(t *testing.T, got, want *hamt.Node) {
	t.Helper()
	if got.Bitfield.Cmp(&want.Bitfield.Int) != 0 || len(got.Pointers) != len(want.Pointers) {
		t.Fatalf("have bits %v and %d children, want %v and %d", &got.Bitfield, len(got.Pointers), &want.Bitfield, len(want.Pointers))
	}
	for i, w := range want.Pointers {
		if g := got.Pointers[i]; !reflect.DeepEqual(g, w) {
			t.Fatalf("child %d: have %+v, want %+v", i, g, w)
		}
	}
}

// Every node of the maps of a state is read as the HAMT reads it.
func TestMapNodesAreReadAsTheHAMTReadsThem(t *testing.T) {
	_, s, _ := grown(t)
	read := 0
	for _, data := range s.world.nodes {
		var want, got hamt.Node
		if err := want.UnmarshalCBOR(bytes.NewReader(data)); err != nil {
			continue // the root of a state, or of a list
		}
		if err := readMapNode(data, &got); err != nil {
			t.Fatalf("%x: %v", data, err)
		}
		sameNode(t, &got, &want)
		read++
	}
	if read < 10 {
		t.Errorf("%d nodes of maps, want many", read)
	}
}

// FuzzMapNode reads bytes as a node of a map. What is taken, the HAMT takes, and it
// is the same.
func FuzzMapNode(f *testing.F) {
	_, s, _ := grown(f)
	for i, data := range slices.SortedFunc(maps.Values(s.world.nodes), bytes.Compare) {
		if i%7 == 0 {
			f.Add(data)
		}
	}
	f.Add([]byte{0x82, 0x40, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var got, want hamt.Node
		if readMapNode(data, &got) != nil {
			return
		}
		if err := want.UnmarshalCBOR(bytes.NewReader(data)); err != nil {
			t.Fatalf("%x: taken, and the HAMT says: %v", data, err)
		}
		sameNode(t, &got, &want)
		again, err := atp.Encode(&got)
		if err != nil {
			t.Fatal(err)
		}
		if bits := got.Bitfield.Bytes(); len(bits) == int(data[1]&0x1f) && !bytes.Equal(again, data) {
			t.Errorf("have %x, and written again %x", data, again)
		}
		if !bytes.Equal(data, before) {
			t.Errorf("reading has changed %x to %x", before, data)
		}
	})
}
