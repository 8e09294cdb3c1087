package chain

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
)

func TestATransferMovesATP(t *testing.T) {
	w := newWorld(t, 3)
	r := w.only(w.block(w.tx(1, &Transfer{To: w.keys[2].id, Amount: 5 * atp.ATP})))
	if !r.OK() {
		t.Fatalf("receipt: %v: %s", r.Code, r.Detail)
	}
	if got, want := w.available(1), 995*atp.ATP; got != want {
		t.Errorf("payer has %s ATP, want %s", got, want)
	}
	if got, want := w.available(2), 1005*atp.ATP; got != want {
		t.Errorf("payee has %s ATP, want %s", got, want)
	}
}
