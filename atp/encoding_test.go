package atp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/atp"
)

func TestAnIDIsReadInItsOneForm(t *testing.T) {
	text := alice.String()
	if got, err := atp.ParseID(text); err != nil || got != alice {
		t.Errorf("ParseID(%q) = %v, %v, want the same", text, got, err)
	}
	if got, want := alice.Key(), [32]byte{'a'}; got != want {
		t.Errorf("key is %x, want %x", got, want)
	}
	for _, in := range []string{
		"", "alice", text + "x", " " + text,
		peer.ToCid(alice.ID).String(),                           // the same peer, as a CID
		"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",        // the hash of an RSA key
		"16Uiu2HAm4v86W3bmT1BiH6oSPzcsSr24iDQpSN5Qa992BCjjwgrD", // a Secp256k1 key
	} {
		if got, err := atp.ParseID(in); !errors.Is(err, atp.ErrID) || !got.IsZero() {
			t.Errorf("ParseID(%q) = %v, %v, want an ErrID", in, got, err)
		}
	}
}

func TestIDsInCBORAreThirtyEightBytesOfAnEd25519Key(t *testing.T) {
	good, err := atp.Encode(alice)
	if err != nil {
		t.Fatal(err)
	}
	rsa := bytes.Clone(good)
	rsa[2] = 0x12
	for name, data := range map[string][]byte{
		"nothing": {}, "null": {0xf6}, "empty": {0x40}, "text": append([]byte{0x78, 38}, good[2:]...),
		"another kind of key": rsa, "cut short": good[:39], "one more byte": append(bytes.Clone(good), 0),
		"37 bytes": append([]byte{0x58, 37}, good[2:39]...), "a length of two bytes": append([]byte{0x59, 0, 38}, good[2:]...),
	} {
		var id atp.ID
		if err := atp.Decode(data, &id); !errors.Is(err, atp.ErrEncoding) {
			t.Errorf("%s: have %v, %v, want an ErrEncoding", name, id, err)
		}
	}
	if data, err := atp.Encode(atp.ID{}); err == nil {
		t.Errorf("the zero ID was encoded as %x, want an error", data)
	}
}

func TestAnOptionalIDIsAnIDOrNull(t *testing.T) {
	for want, o := range map[string]atp.OptionalID{"null": {}, `"` + bob.String() + `"`: {ID: bob}} {
		var fromCBOR, fromJSON atp.OptionalID
		data, err := atp.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := atp.Decode(data, &fromCBOR); err != nil || fromCBOR != o {
			t.Errorf("from CBOR: have %v, %v, want %v", fromCBOR, err, o)
		}
		text, err := json.Marshal(o)
		if err != nil || string(text) != want {
			t.Errorf("in JSON: have %s, %v, want %s", text, err, want)
		}
		if err := json.Unmarshal(text, &fromJSON); err != nil || fromJSON != o {
			t.Errorf("from JSON: have %v, %v, want %v", fromJSON, err, o)
		}
	}
	var id atp.ID
	if err := json.Unmarshal([]byte("null"), &id); err == nil {
		t.Error("null was read as an ID, want an error")
	}
}

func TestOnlyOneKindOfCIDNamesAThing(t *testing.T) {
	sha512, err := multihash.Sum([]byte("x"), multihash.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := multihash.Sum([]byte("x"), multihash.IDENTITY, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := atp.CheckCID(atp.SumBlob(nil), cid.DagCBOR, cid.Raw); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]cid.Cid{
		"none":          cid.Undef,
		"version 0":     cid.NewCidV0(atp.Sum(nil).Hash()),
		"another hash":  cid.NewCidV1(cid.Raw, sha512),
		"no hash":       cid.NewCidV1(cid.Raw, identity),
		"another codec": atp.Sum(nil),
	} {
		if err := atp.CheckCID(c, cid.Raw); !errors.Is(err, atp.ErrEncoding) {
			t.Errorf("%s: have %v, want an ErrEncoding", name, err)
		}
	}
}

func TestASumAloneNamesItsData(t *testing.T) {
	data := []byte("data")
	if id := atp.Sum(data); !atp.Names(id, data) {
		t.Errorf("%s does not name the data that it is the sum of", id)
	}
	sha512, err := multihash.Sum(data, multihash.SHA2_512, -1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]cid.Cid{
		"none":          cid.Undef,
		"other data":    atp.Sum([]byte("date")),
		"another codec": atp.SumBlob(data),
		"another hash":  cid.NewCidV1(cid.DagCBOR, sha512),
		"version 0":     cid.NewCidV0(atp.Sum(data).Hash()),
	} {
		if atp.Names(c, data) {
			t.Errorf("%s: names the data", name)
		}
	}
}

// FuzzDecode holds every record to its one form: what is read is written
// again as the same bytes, and all else is refused.
func FuzzDecode(f *testing.F) {
	values := func() []atp.Value {
		return []atp.Value{new(atp.Account), new(atp.Lock), new(atp.Totals), new(atp.ID), new(atp.OptionalID)}
	}
	task := atp.Lock{ID: lock1, Payer: alice, Amount: 1, Task: true}
	for _, v := range []atp.Value{
		&atp.Account{Available: 1, Locked: 300, Bonded: atp.MaxAmount, Nonce: 70_000}, &payment, &task,
		&atp.Totals{Supply: 24, Available: 23, Pool: 1}, &atp.OptionalID{ID: bob}, new(atp.OptionalID),
	} {
		data, err := atp.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range values() {
			if err := atp.Decode(data, v); err != nil {
				if !errors.Is(err, atp.ErrEncoding) {
					t.Fatalf("%T: have %v, want an ErrEncoding", v, err)
				}
				continue
			}
			if again, err := atp.Encode(v); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("%T: read %x, wrote %x, %v", v, data, again, err)
			}
		}
	})
}
