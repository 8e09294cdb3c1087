package wire

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

func someCID(t testing.TB, codec uint64, name string) cid.Cid {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	mh, err := multihash.Encode(sum[:], multihash.SHA2_256)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(codec, mh)
}

func encoded(t testing.TB, v atp.Value) []byte {
	t.Helper()
	raw, err := atp.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAQuestionAsksForOneThing(t *testing.T) {
	block, tx := someCID(t, cid.DagCBOR, "block"), someCID(t, cid.DagCBOR, "tx")
	for _, tt := range []struct {
		name string
		q    Question
		ok   bool
	}{
		{"nothing", Question{}, false},
		{"transactions", Question{Txs: []cid.Cid{tx}}, true},
		{"a block", Question{Block: &block}, true},
		{"a range", Question{From: 3, To: 5}, true},
		{"one height", Question{From: 3, To: 3}, true},
		{"the founding", Question{Founding: true}, true},
		{"the genesis", Question{Genesis: true}, true},
		{"peers", Question{Peers: true}, true},
		{"an invite", Question{Invite: &Redemption{}}, true},
		{"two things", Question{Peers: true, Genesis: true}, false},
		{"a block and transactions", Question{Block: &block, Txs: []cid.Cid{tx}}, false},
		{"a range backwards", Question{From: 5, To: 3}, false},
		{"a range from height 0", Question{To: 3}, false},
		{"a range without an end", Question{From: 3}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeQuestion(encoded(t, &tt.q))
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("DecodeQuestion: %v, want it taken: %v", err, tt.ok)
			}
		})
	}
}

func TestAnAnnouncementSaysWhatAGenesisNeeds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Announcement)
		ok     bool
	}{
		{"as it should be", func(*Announcement) {}, true},
		{"no name", func(a *Announcement) { a.Name = "" }, false},
		{"a name for a terminal to obey", func(a *Announcement) { a.Name = "x\x1b[2J" }, false},
		{"a name too long", func(a *Announcement) { a.Name = strings.Repeat("a", 33) }, false},
		{"no time", func(a *Announcement) { a.Time = 0 }, false},
		{"nobody expected", func(a *Announcement) { a.Expect = 0 }, false},
		{"too many expected", func(a *Announcement) { a.Expect = bft.MaxValidators + 1 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := Announcement{Name: "alpha", Time: 1, Expect: 4}
			tt.change(&a)
			_, err := DecodeAnnouncement(encoded(t, &a))
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("DecodeAnnouncement: %v, want it taken: %v", err, tt.ok)
			}
		})
	}
}

func TestTheLargestAnnouncementFits(t *testing.T) {
	a := Announcement{Name: strings.Repeat("a", 32), Time: 1 << 62, Expect: bft.MaxValidators, Genesis: make([]byte, 1<<20)}
	if _, err := DecodeAnnouncement(encoded(t, &a)); err != nil {
		t.Error(err)
	}
	r := Reply{Data: encoded(t, &a)}
	var got Reply
	if err := Decode(encoded(t, &r), MaxReply, &got); err != nil {
		t.Error(err)
	}
}

func TestWhatFollowsAValueIsRefused(t *testing.T) {
	r := BlobRequest{Task: someCID(t, cid.DagCBOR, "task"), Blob: someCID(t, cid.Raw, "blob")}
	raw := encoded(t, &r)
	if len(raw) > MaxBlobRequest {
		t.Errorf("a request of %d bytes, and the bound is %d", len(raw), MaxBlobRequest)
	}
	if got, err := DecodeBlobRequest(raw); err != nil || got != r {
		t.Errorf("DecodeBlobRequest = %v, %v", got, err)
	}
	if _, err := DecodeBlobRequest(append(raw, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("with a byte more: %v, want ErrMalformed", err)
	}
}

func TestARequestForAFlowIsToldFromOneForContent(t *testing.T) {
	task := someCID(t, cid.DagCBOR, "task")
	r := FlowRequest{Task: task, Flow: Text, Begun: 1 << 63, From: 1 << 63}
	raw := encoded(t, &r)
	if len(raw) > MaxFlowRequest || !AsksForFlow(raw) {
		t.Errorf("a request of %d bytes (the bound is %d), taken for one for a flow: %v", len(raw), MaxFlowRequest, AsksForFlow(raw))
	}
	if got, err := DecodeFlowRequest(raw); err != nil || got != r {
		t.Errorf("DecodeFlowRequest = %v, %v", got, err)
	}
	if AsksForFlow(encoded(t, &BlobRequest{Task: task, Blob: task})) || AsksForFlow(nil) {
		t.Error("a request for content, or none, is taken for one for a flow")
	}
	if _, err := DecodeFlowRequest(encoded(t, &FlowRequest{Task: task, Flow: "keys"})); !errors.Is(err, ErrMalformed) {
		t.Errorf("an unknown flow: %v, want ErrMalformed", err)
	}
}

// same fails if what was read from raw is not written as raw again.
func same(t *testing.T, raw []byte, v atp.Value) {
	t.Helper()
	again, err := atp.Encode(v)
	if err != nil || !bytes.Equal(again, raw) {
		t.Errorf("%x was read, and is written as %x, %v", raw, again, err)
	}
}

// refused reports whether raw was refused, and fails if that blames nobody or left
// something of it.
func refused(t *testing.T, raw []byte, v any, err error) bool {
	t.Helper()
	if err != nil && (!errors.Is(err, ErrMalformed) || !reflect.ValueOf(v).IsZero()) {
		t.Errorf("%x: %v with %+v, want ErrMalformed and nothing", raw, err, v)
	}
	return err != nil
}

func FuzzDecodeQuestion(f *testing.F) {
	block := someCID(f, cid.DagCBOR, "block")
	for _, q := range []Question{
		{Block: &block},
		{Txs: []cid.Cid{block, block}},
		{From: 1, To: 32},
		{Founding: true},
		{Genesis: true},
		{Peers: true},
		{Invite: &Redemption{Secret: [16]byte{1}}},
		{Invite: &Redemption{Look: true}},
		{Invite: &Redemption{}, Peers: true},
	} {
		f.Add(encoded(f, &q))
	}
	f.Add([]byte{0x88})
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := DecodeQuestion(raw)
		if refused(t, raw, q, err) {
			return
		}
		same(t, raw, &q)
	})
}

func FuzzDecodeReply(f *testing.F) {
	id := bft.IDFromKey([32]byte{1})
	tx := chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(id), Nonce: 1, Expires: 2, Fee: 3, Signature: bft.Signature{4},
		Ops: []chain.Op{{Action: &chain.Transfer{To: atp.ID(id), Amount: 5}}},
	}
	link := someCID(f, cid.DagCBOR, "link")
	cert := &bft.CommitCert{Height: 1, View: 2, Block: link, Signers: bft.Bitmap{1}, Signatures: make([]bft.Signature, 1)}
	header := chain.Header{
		Version: 1, Height: 2, Parent: link, Time: 3, Proposer: id, BodyRoot: link, StateRoot: link, ReceiptsRoot: link, LastCommit: cert,
	}
	for _, r := range []Reply{
		{},
		{Data: []byte("genesis")},
		{Peers: []Contact{{ID: id, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}}},
		{Txs: []chain.Transaction{tx, tx}},
		{Blocks: []Parcel{{Header: header, Body: chain.Body{Txs: []chain.Transaction{tx}}, Cert: cert}}},
		{Blocks: []Parcel{{Header: header}, {Header: header, Cert: cert}}},
	} {
		f.Add(encoded(f, &r))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeReply(raw)
		if refused(t, raw, r, err) {
			return
		}
		same(t, raw, &r)
		// Nobody has the keys: what has signatures that hold was made by this test.
		txs, blocks, err := r.Verify(bft.ZIP215{}, nil, bft.GenesisHash{1})
		if err == nil && len(txs) > 0 || err != nil && (txs != nil || blocks != nil) {
			t.Fatalf("%x: %d transactions and %d blocks hold, %v", raw, len(txs), len(blocks), err)
		}
	})
}

func FuzzDecodeAnnouncement(f *testing.F) {
	a := Announcement{Name: "alpha", Time: 1, Expect: 4, Draft: [32]byte{2}, Signature: bft.Signature{3}, Genesis: []byte("{}")}
	f.Add(encoded(f, &a))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := DecodeAnnouncement(raw)
		if refused(t, raw, a, err) {
			return
		}
		same(t, raw, &a)
	})
}

func FuzzBlobRequest(f *testing.F) {
	r := BlobRequest{Task: someCID(f, cid.DagCBOR, "task"), Blob: someCID(f, cid.Raw, "blob")}
	f.Add(encoded(f, &r))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeBlobRequest(raw)
		if refused(t, raw, r, err) {
			return
		}
		same(t, raw, &r)
	})
}

func FuzzFlowRequest(f *testing.F) {
	r := FlowRequest{Task: someCID(f, cid.DagCBOR, "task"), Flow: Logs, Begun: 2, From: 3}
	f.Add(encoded(f, &r))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeFlowRequest(raw)
		if refused(t, raw, r, err) {
			return
		}
		same(t, raw, &r)
		if !AsksForFlow(raw) {
			t.Errorf("%x is not taken for a request for a flow", raw)
		}
	})
}
