package node

import (
	"errors"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// signedHere returns a transfer of a nonce as its maker signs it.
func (p *purse) signedHere(t *testing.T, nonce uint64) chain.VerifiedTx {
	t.Helper()
	tx, err := chain.SignTx(bft.ZIP215{}, p.hash, chain.Transaction{
		Version: chain.TxVersion, From: p.self, Nonce: nonce, Fee: p.world.state.Params().MinFee,
		Ops: []chain.Op{{Action: &chain.Transfer{To: p.all[1].id(), Amount: atp.Amount(1)}}},
	}, p.all[0].sign)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// What waits together is given to the loop in one input, so that one sync is
// enough; who signed wrongly is told, and keeps nobody else waiting.
func TestWhatIsHandedInTogetherIsGivenTogether(t *testing.T) {
	p := newPurse(t)
	var inputs []replica.Transactions
	p.give = func(in replica.Input) bool {
		inputs = append(inputs, in.(replica.Transactions))
		return true
	}
	desk := make(chan slip, 4)
	for nonce := range uint64(4) {
		tx := p.signedHere(t, nonce)
		s := slip{signed: tx.Tx(), verdict: make(chan error, 1)}
		switch nonce {
		case 1:
			s.signed.Signature[5] ^= 1
		case 2:
			s = slip{verified: tx, verdict: s.verdict} // made by this platform
		}
		desk <- s
	}
	list := gather(<-desk, desk, 3)
	p.process(list)
	if len(list) != 3 || len(desk) != 1 {
		t.Errorf("%d were gathered, and %d left; want 3 and 1", len(list), len(desk))
	}
	if len(inputs) != 1 || len(inputs[0].Txs) != 2 || !inputs[0].Local {
		t.Fatalf("the loop was given %d inputs: %+v, want one with two transactions", len(inputs), inputs)
	}
	var no *view.Error
	if err := <-list[1].verdict; !errors.As(err, &no) || no.Code != view.CodeInvalid {
		t.Errorf("the one with a wrong signature: %v, want %s", err, view.CodeInvalid)
	}
	for _, tx := range inputs[0].Txs {
		if _, ok := p.known.get(tx.Address()); !ok {
			t.Errorf("transaction %d would be checked again when gossip brings it back", tx.Tx().Nonce)
		}
	}
}
