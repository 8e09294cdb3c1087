// Package fieldtest changes one field of a message at a time, for tests of what
// a signature covers. It finds the fields by reflection, so that a field that is
// added later is changed too.
package fieldtest

import (
	"fmt"
	"reflect"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// A Change is a message with one field other than it was.
type Change struct {
	Field string // such as TC.Timeouts[1].View
	What  string // was done to it, such as "bit 3"
	Value any    // a pointer, as fresh returned it
}

// Each calls f with every change of what fresh returns: a pointer to a struct
// that shares nothing with any it returned before. Of numbers each bit is
// flipped, of bytes and text one of each byte, always another. Lists lose,
// repeat and exchange elements; what a pointer names is taken away or added.
// It fails by a panic for a type that it does not know how to change.
func Each(fresh func() any, f func(Change)) {
	for n := 0; ; n++ {
		value := fresh()
		w := walker{wanted: n}
		w.walk(reflect.ValueOf(value).Elem(), "")
		if !w.found {
			return
		}
		f(Change{w.field, w.what, value})
	}
}

// walker counts the changes that it meets, and makes the one that is wanted.
type walker struct {
	met, wanted int
	found       bool
	field, what string
}

// change makes a change if it is the one wanted.
func (w *walker) change(field, what string, do func()) {
	if w.met == w.wanted {
		w.found, w.field, w.what = true, field, what
		do()
	}
	w.met++
}

func (w *walker) walk(v reflect.Value, at string) {
	if w.found {
		return
	}
	if v.Type() == reflect.TypeFor[cid.Cid]() {
		w.cid(v, at)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if at != "" {
				name = at + "." + name
			}
			w.walk(v.Field(i), name)
		}
	case reflect.Interface:
		w.walk(v.Elem().Elem(), at) // a pointer in it
	case reflect.Pointer:
		w.pointer(v, at)
	case reflect.Slice:
		w.slice(v, at)
	case reflect.Array:
		w.bytes(v.Len(), at, func(i int) reflect.Value { return v.Index(i) })
	case reflect.String:
		w.text(v, at)
	case reflect.Bool:
		w.change(at, "not", func() { v.SetBool(!v.Bool()) })
	default:
		w.number(v, at)
	}
}

func (w *walker) number(v reflect.Value, at string) {
	for bit := range v.Type().Bits() {
		w.change(at, fmt.Sprint("bit ", bit), func() {
			if v.CanUint() {
				v.SetUint(v.Uint() ^ 1<<bit)
			} else {
				v.SetInt(v.Int() ^ 1<<bit)
			}
		})
	}
}

// bytes flips a bit of each of n bytes.
func (w *walker) bytes(n int, at string, index func(int) reflect.Value) {
	for i := range n {
		w.change(at, fmt.Sprintf("bit %d of byte %d", i%8, i), func() {
			b := index(i)
			b.SetUint(b.Uint() ^ 1<<(i%8))
		})
	}
}

func (w *walker) text(v reflect.Value, at string) {
	for i := range v.Len() {
		w.change(at, fmt.Sprintf("bit %d of byte %d", i%8, i), func() {
			b := []byte(v.String())
			b[i] ^= 1 << (i % 8)
			v.SetString(string(b))
		})
	}
	if v.Len() > 0 {
		w.change(at, "cut", func() { v.SetString(v.String()[1:]) })
	}
	w.change(at, "longer", func() { v.SetString(v.String() + "x") })
}

func (w *walker) pointer(v reflect.Value, at string) {
	if v.IsNil() {
		w.change(at, "added", func() { v.Set(reflect.New(v.Type().Elem())) })
		return
	}
	w.change(at, "taken away", func() { v.SetZero() })
	if !w.found {
		w.walk(v.Elem(), at)
	}
}

func (w *walker) slice(v reflect.Value, at string) {
	n := v.Len()
	if n > 0 {
		w.change(at, "the last taken away", func() { v.SetLen(n - 1) })
		w.change(at, "the last twice", func() { v.Set(reflect.Append(v, v.Index(n-1))) })
	} else {
		w.change(at, "one added", func() { v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem()))) })
	}
	switch {
	case w.found:
		return
	case v.Type().Elem().Kind() == reflect.Uint8:
		w.bytes(n, at, v.Index)
		return
	}
	if n > 1 && !reflect.DeepEqual(v.Index(0).Interface(), v.Index(1).Interface()) {
		w.change(at, "the first two exchanged", func() { reflect.Swapper(v.Interface())(0, 1) })
	}
	for i := range n {
		w.walk(v.Index(i), fmt.Sprintf("%s[%d]", at, i))
	}
}

func (w *walker) cid(v reflect.Value, at string) {
	id := v.Interface().(cid.Cid)
	if !id.Defined() {
		w.change(at, "added", func() { v.Set(reflect.ValueOf(address(cid.DagCBOR, make([]byte, 32)))) })
		return
	}
	decoded, err := multihash.Decode(id.Hash())
	if err != nil {
		panic(err)
	}
	for i := range decoded.Digest {
		w.change(at, fmt.Sprintf("bit %d of byte %d", i%8, i), func() {
			decoded.Digest[i] ^= 1 << (i % 8)
			v.Set(reflect.ValueOf(address(id.Type(), decoded.Digest)))
		})
	}
	w.change(at, "of another codec", func() { v.Set(reflect.ValueOf(address(id.Type()^1, decoded.Digest))) })
	w.change(at, "taken away", func() { v.SetZero() })
}

// address is the CID of a SHA-256.
func address(codec uint64, digest []byte) cid.Cid {
	hash, err := multihash.Encode(digest, multihash.SHA2_256)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(codec, hash)
}
