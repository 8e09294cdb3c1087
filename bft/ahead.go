package bft

// Ahead holds messages of the next height until its validator set is known:
// one per (sender, kind), the highest view kept (L3). Its senders are the
// members of the current set, who are most of the next.
type Ahead struct{}

// Held is a message that waits, and the caller's mark of its arrival.
type Held struct {
	From    ID
	Message Message
	Arrived Arrival
}

// NewAhead returns empty slots for height h+1, with set the validators of h.
func NewAhead(h Height, set ValidatorSet) *Ahead { return &Ahead{} }

// Hold keeps an unverified message of the next height that came over from's
// authenticated stream, and reports whether it did.
func (a *Ahead) Hold(from ID, m Message, arrived Arrival) bool { return false }

// Take empties the slots, in the order of validators and kinds.
func (a *Ahead) Take() []Held { return nil }
