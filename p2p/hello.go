package p2p

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-varint"
)

// hello is what each side of a connection says first.
//
// On the wire, in one frame: flags (1 byte), genesis (32 bytes, only with
// flagGenesis), note (1 byte, only with flagNote), clock and nonce (8 bytes each, big endian), then network, name
// and agent, each with its length as a uvarint, then the number of protocols and
// each of them likewise, sorted. Every hello has exactly one encoding.
type hello struct {
	Genesis   Genesis
	Note      byte   // of the caller's: see Host.SetNote
	Relays    bool   // the sender relays for its federation
	Rival     bool   // another process with the receiver's key has been seen alive
	Clock     uint64 // Unix milliseconds
	Nonce     uint64 // drawn at the start of the process, never 0
	Network   string
	Name      string
	Agent     string
	Protocols []protocol.ID // what the sender serves
}

const (
	flagGenesis = 1 << iota
	flagRival
	flagNote
	flagRelays

	maxProtocols = 16
)

func (m hello) encode() []byte {
	var flags byte
	if !m.Genesis.IsZero() {
		flags |= flagGenesis
	}
	if m.Rival {
		flags |= flagRival
	}
	if m.Note != 0 {
		flags |= flagNote
	}
	if m.Relays {
		flags |= flagRelays
	}
	b := []byte{flags}
	if flags&flagGenesis != 0 {
		b = append(b, m.Genesis[:]...)
	}
	if flags&flagNote != 0 {
		b = append(b, m.Note)
	}
	b = binary.BigEndian.AppendUint64(b, m.Clock)
	b = binary.BigEndian.AppendUint64(b, m.Nonce)
	for _, s := range []string{m.Network, m.Name, m.Agent} {
		b = appendText(b, s)
	}
	b = append(b, varint.ToUvarint(uint64(len(m.Protocols)))...)
	for _, p := range m.Protocols {
		b = appendText(b, string(p))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = append(b, varint.ToUvarint(uint64(len(s)))...)
	return append(b, s...)
}

// decodeHello reads what encode writes, and nothing else. Its errors wrap
// ErrMalformed.
func decodeHello(b []byte) (hello, error) {
	d := decoder{rest: b}
	var m hello
	flags := d.bytes(1)[0]
	if flags&^(flagGenesis|flagRival|flagNote|flagRelays) != 0 {
		d.fail("unknown flags %#x", flags)
	}
	m.Rival, m.Relays = flags&flagRival != 0, flags&flagRelays != 0
	if flags&flagGenesis != 0 {
		if m.Genesis = Genesis(d.bytes(len(m.Genesis))); m.Genesis.IsZero() {
			d.fail("genesis is zero")
		}
	}
	if flags&flagNote != 0 {
		if m.Note = d.bytes(1)[0]; m.Note == 0 {
			d.fail("note is zero")
		}
	}
	m.Clock = binary.BigEndian.Uint64(d.bytes(8))
	m.Nonce = binary.BigEndian.Uint64(d.bytes(8))
	m.Network, m.Name, m.Agent = d.text(), d.text(), d.text()
	n := d.uvarint(maxProtocols)
	for range n {
		m.Protocols = append(m.Protocols, protocol.ID(d.text()))
	}
	switch {
	case d.err != nil:
	case m.Nonce == 0:
		d.fail("nonce is zero")
	case m.Network == "":
		d.fail("network name is empty")
	case !slices.IsSorted(m.Protocols) || len(slices.Compact(slices.Clone(m.Protocols))) != len(m.Protocols):
		d.fail("protocols are not sorted or repeat")
	case len(d.rest) > 0:
		d.fail("%d bytes too many", len(d.rest))
	}
	if d.err != nil {
		return hello{}, d.err
	}
	return m, nil
}

// decoder reads fields in turn. After the first error it returns zero values, so
// that a caller checks err once, at the end.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: hello: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// bytes always returns n bytes: zeroes when they are missing. Only for small,
// constant n, or n checked against a limit.
func (d *decoder) bytes(n int) []byte {
	if d.err != nil || len(d.rest) < n {
		d.fail("ends early")
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) uvarint(limit int) int {
	if d.err != nil {
		return 0
	}
	v, n, err := varint.FromUvarint(d.rest)
	switch {
	case err != nil:
		d.fail("length: %v", err)
		return 0
	case v > uint64(limit):
		d.fail("length: have %d, want at most %d", v, limit)
		return 0
	}
	d.rest = d.rest[n:]
	return int(v)
}

func (d *decoder) text() string {
	s := string(d.bytes(d.uvarint(MaxName)))
	if !printable(s) {
		d.fail("text is not printable UTF-8")
		return ""
	}
	return s
}
