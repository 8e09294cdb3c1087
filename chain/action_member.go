package chain

import (
	"encoding/json"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// ValidatorVote is a validator's word for a platform, under [AdmitVote],
// VALIDATOR_VOTE. Votes count together that say the same in all fields. One
// replaces the voter's earlier one for that platform, and counts for
// [Membership].AdmissionSpan.
type ValidatorVote struct {
	Platform atp.ID     `json:"platform"` // an ID that the chain need not know yet
	Against  bool       `json:"against"`  // take an earlier vote back; the other fields are then empty
	Grant    atp.Amount `json:"grant_uatp"`
	Society  string     `json:"society" cborgen:"maxlen=64"` // that it is of, a [task.Name]; empty: none
}

// Evidence shows two statements of one validator that contradict each other,
// EVIDENCE; by anybody.
type Evidence struct {
	Pair bft.Evidence
}

// KeyRotate moves all that is the sender's to another key, KEY_ROTATE. It is
// the only operation of its transaction.
type KeyRotate struct {
	To        atp.ID           `json:"to"`
	Signature FounderSignature `json:"signature"` // of To, over [RotationBytes]
}

// rotateDomain begins what a new key signs.
const rotateDomain = "sage/rotate/1"

// RotationBytes returns what the new key signs, to take over what is the old
// one's on the chain of genesis.
func RotationBytes(genesis GenesisHash, old, to atp.ID) []byte {
	b := append([]byte(rotateDomain), genesis[:]...)
	return append(append(b, old.ID...), to.ID...)
}

// Kind implements [Action].
func (*ValidatorVote) Kind() OpKind { return OpValidatorVote }

// Kind implements [Action].
func (*Evidence) Kind() OpKind { return OpEvidence }

// Kind implements [Action].
func (*KeyRotate) Kind() OpKind { return OpKeyRotate }

func (a *ValidatorVote) check() error {
	switch {
	case a.Against && (a.Grant != 0 || a.Society != ""):
		return fmt.Errorf("%w: a vote that is taken back has no terms", ErrInvalid)
	case a.Society == "":
		return nil
	}
	return blame(task.Name(a.Society).Check())
}

func (a *Evidence) check() error { return blame(a.Pair.Check()) }

func (a *KeyRotate) check() error {
	if a.To.IsZero() {
		return fmt.Errorf("%w: KEY_ROTATE without a new key", ErrInvalid)
	}
	return nil
}

// attested is an action that holds signatures besides its transaction's. They are
// judged with that: a transaction of which one does not hold is no transaction.
type attested interface {
	claims(genesis GenesisHash, from atp.ID) []bft.Claim
}

func (a *Evidence) claims(genesis GenesisHash, _ atp.ID) []bft.Claim {
	return a.Pair.Claims(genesis)
}

func (a *KeyRotate) claims(genesis GenesisHash, from atp.ID) []bft.Claim {
	return []bft.Claim{{Signer: bft.ID(a.To), Message: RotationBytes(genesis, from, a.To), Signature: bft.Signature(a.Signature)}}
}

// MarshalJSON tells who said what, without the signatures.
func (a *Evidence) MarshalJSON() ([]byte, error) {
	first, second := a.Pair.First, a.Pair.Second
	return json.Marshal(struct {
		Validator string     `json:"validator"`
		Height    bft.Height `json:"height"`
		First     string     `json:"first"`
		Second    string     `json:"second"`
	}{first.Signer.String(), first.Height, statementText(first), statementText(second)})
}

func statementText(s bft.Signed) string {
	if s.Kind == bft.KindTimeout {
		return fmt.Sprintf("%v of view %d, with a QC of view %d", s.Kind, s.View, s.HighView)
	}
	return fmt.Sprintf("%v of view %d for %s", s.Kind, s.View, s.Block)
}
