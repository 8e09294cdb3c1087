package task

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
)

// FuzzKey reads the key of a record of evidence, as the state's map holds it.
func FuzzKey(f *testing.F) {
	f.Add(Key{Who: atp.IDFromKey([32]byte{1}), Role: Executor, Type: Vision, Counterpart: "lab"}.String())
	f.Add("///")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseKey(s)
		if err != nil {
			if k != (Key{}) {
				t.Fatalf("%q: %v with %+v", s, err, k)
			}
			return
		}
		if k.String() != s {
			t.Fatalf("%q is read as %q", s, k)
		}
	})
}
