package chain

import (
	"fmt"

	"github.com/filecoin-project/go-hamt-ipld/v3"
	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// Reading the nodes of maps is much of what a block costs, and nearly all of that
// went into memory: the HAMT's own reader copies each key and each value, from a
// reader of single bytes. Here both stay where they are: nobody changes the bytes
// of a node, and the HAMT replaces what it holds, never its bytes.

// leaf is one entry of a node.
type leaf struct {
	kv    hamt.KV
	value cbg.Deferred
}

// readMapNode reads a node of a map from all of raw, which it keeps. It takes no
// more than [hamt.Node.UnmarshalCBOR] does, and makes the same of it; whether the
// node makes sense is judged there.
func readMapNode(raw []byte, n *hamt.Node) error {
	rest, err := readArray(raw, 2)
	if err != nil {
		return err
	}
	bits, rest, err := readBytes(rest)
	if err != nil {
		return err
	}
	n.Bitfield.SetBytes(bits)
	major, count, rest, err := readHead(rest)
	switch {
	case err != nil:
		return err
	case major != cbg.MajArray || count > 1<<treeBitWidth:
		return fmt.Errorf("%w: children of a node: have major type %d, number %d, want at most %d", ErrMalformed, major, count, 1<<treeBitWidth)
	}
	children := make([]hamt.Pointer, count)
	n.Pointers = make([]*hamt.Pointer, count)
	for i := range children {
		n.Pointers[i] = &children[i]
		if rest, err = readChild(rest, n.Pointers[i]); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes follow a node", ErrMalformed, len(rest))
	}
	return nil
}

// maxBucket is more entries than a node keeps itself instead of in a child.
const maxBucket = 32

// readChild reads a link to a node, or the entries that stand in its place.
func readChild(raw []byte, p *hamt.Pointer) ([]byte, error) {
	major, n, rest, err := readHead(raw)
	switch {
	case err != nil:
		return nil, err
	case major == cbg.MajTag:
		after, err := skipLink(rest, n)
		if err != nil {
			return nil, err
		}
		p.Link, err = cid.Cast(rest[len(rest)-len(after)-cidLength : len(rest)-len(after)])
		return after, err
	case major != cbg.MajArray || n > maxBucket:
		return nil, fmt.Errorf("%w: a child of a node: have major type %d, number %d", ErrMalformed, major, n)
	}
	leaves := make([]leaf, n)
	p.KVs = make([]*hamt.KV, n)
	for i := range leaves {
		l := &leaves[i]
		p.KVs[i], l.kv.Value = &l.kv, &l.value
		if rest, err = readArray(rest, 2); err != nil {
			return nil, err
		}
		if l.kv.Key, rest, err = readBytes(rest); err != nil {
			return nil, err
		}
		value := rest
		if rest, err = skipItem(value, maxDepth); err != nil {
			return nil, err
		}
		end := len(value) - len(rest)
		l.value.Raw = value[:end:end]
	}
	return rest, nil
}

// readArray reads the head of a tuple of so many fields.
func readArray(raw []byte, fields uint64) ([]byte, error) {
	major, n, rest, err := readHead(raw)
	if err == nil && (major != cbg.MajArray || n != fields) {
		err = fmt.Errorf("%w: tuple: have major type %d, number %d, want %d fields", ErrMalformed, major, n, fields)
	}
	return rest, err
}

// readBytes reads a byte string, which it does not copy.
func readBytes(raw []byte) (b, rest []byte, err error) {
	major, n, rest, err := readHead(raw)
	switch {
	case err != nil:
		return nil, nil, err
	case major != cbg.MajByteString || n > uint64(len(rest)):
		return nil, nil, fmt.Errorf("%w: bytes: have major type %d, number %d, and %d bytes", ErrMalformed, major, n, len(rest))
	}
	return rest[:n:n], rest[n:], nil
}
