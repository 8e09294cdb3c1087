package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

func TestAFrameHoldsAMessageOrABundle(t *testing.T) {
	status := &bft.Status{Height: 1, FinalID: someCID(t, cid.DagCBOR, "genesis")}
	m, bundle, err := OpenFrame(MessageFrame(status))
	if err != nil || bundle != nil || m.Position() != status.Position() {
		t.Errorf("a message: %v, bundle %x, %v", m, bundle, err)
	}
	m, bundle, err = OpenFrame([]byte{FrameBundle, 7, 8})
	if err != nil || m != nil || !bytes.Equal(bundle, []byte{7, 8}) {
		t.Errorf("a bundle: %v, %x, %v", m, bundle, err)
	}
}

func TestAFrameOfNoKindIsRefused(t *testing.T) {
	for _, frame := range [][]byte{nil, {0}, {3, 1}, {255}} {
		if m, bundle, err := OpenFrame(frame); !errors.Is(err, ErrMalformed) || m != nil || bundle != nil {
			t.Errorf("frame %x: %v, %x, %v, want ErrMalformed", frame, m, bundle, err)
		}
	}
	if _, _, err := OpenFrame([]byte{FrameMessage, 0x80}); !errors.Is(err, bft.ErrInvalid) {
		t.Errorf("a message of nothing: %v, want bft.ErrInvalid", err)
	}
}

// signed returns a transaction with a signature of the simulation's scheme.
func signed(t *testing.T, genesis bft.GenesisHash, fee atp.Amount) chain.Transaction {
	t.Helper()
	from := bft.IDFromKey([32]byte{1})
	tx := chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(from), Fee: fee,
		Ops: []chain.Op{{Action: &chain.Transfer{To: atp.ID(bft.IDFromKey([32]byte{2})), Amount: 1}}},
	}
	v, err := chain.SignTx(bft.InsecureSimulation{}, genesis, tx, func(message []byte) (bft.Signature, error) {
		return bft.InsecureSimulation{}.Sign(from, message), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return v.Tx()
}

func TestATransactionThatNoBlockCouldHoldIsNotDecoded(t *testing.T) {
	genesis, params := bft.GenesisHash{1}, chain.DefaultParams(chain.AdmitAuto)
	params.MinFee = 5
	good, poor := signed(t, genesis, 5), signed(t, genesis, 4)
	if _, err := DecodeTx(encoded(t, &good), params); err != nil {
		t.Errorf("one that fits: %v", err)
	}
	if _, err := DecodeTx(encoded(t, &poor), params); !errors.Is(err, chain.ErrLimit) {
		t.Errorf("one that pays too little: %v, want chain.ErrLimit", err)
	}
	params.Limits.TxBytes = 50
	if _, err := DecodeTx(encoded(t, &good), params); !errors.Is(err, chain.ErrLimit) {
		t.Errorf("one that is too large: %v, want chain.ErrLimit", err)
	}
}

func TestOneFalseSignatureCondemnsAReply(t *testing.T) {
	scheme, genesis := bft.InsecureSimulation{}, bft.GenesisHash{1}
	good := signed(t, genesis, 0)
	bad := good
	bad.Signature[40] ^= 1
	r, err := DecodeReply(encoded(t, &Reply{Txs: []chain.Transaction{good}}))
	if err != nil {
		t.Fatal(err)
	}
	if txs, _, err := r.Verify(scheme, nil, genesis); err != nil || len(txs) != 1 {
		t.Errorf("a good one: %d transactions, %v", len(txs), err)
	}
	if _, _, err := r.Verify(scheme, nil, bft.GenesisHash{2}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("on another chain: %v, want chain.ErrInvalid", err)
	}
	if _, _, err := (Reply{Txs: []chain.Transaction{good, bad}}).Verify(scheme, nil, genesis); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("a false one among them: %v, want chain.ErrInvalid", err)
	}
	if _, err := DecodeReply([]byte{0x80}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a reply of nothing: %v, want ErrMalformed", err)
	}
}
