package bft

// Ahead holds messages of the next height until its validator set is known:
// one per (sender, kind), the highest view kept (L3). Its senders are the
// members of the current set; one that only joins with the next is heard once
// we are there, since Timeouts repeat.
type Ahead struct {
	height Height
	set    ValidatorSet
	slots  []slots[*Held] // by kind
}

// Held is a message that waits, unverified, and the mark of its arrival.
type Held struct {
	From    ID
	Message Message
	Arrived Arrival
}

// Position says where the held message belongs.
func (h *Held) Position() Position { return h.Message.Position() }

// NewAhead returns empty slots for height h+1, with set the validators of h.
func NewAhead(h Height, set ValidatorSet) *Ahead {
	a := &Ahead{height: h + 1, set: set, slots: make([]slots[*Held], KindTimeout+1)}
	for k := range a.slots {
		a.slots[k] = make(slots[*Held], set.Len())
	}
	return a
}

// Hold keeps a message of the next height that came over from's authenticated
// stream, and reports whether it did. A vote or Timeout of anyone but its
// sender is not kept, so that nobody fills another's slot.
func (a *Ahead) Hold(from ID, m Message, arrived Arrival) bool {
	i, member := a.set.Index(from)
	at := m.Position()
	if !member || at.Height != a.height || at.Kind < KindProposal || at.Kind > KindTimeout {
		return false
	}
	switch m := m.(type) {
	case *Vote:
		if m.Signer != from {
			return false
		}
	case *Timeout:
		if m.Signer != from {
			return false
		}
	}
	return a.slots[at.Kind].keep(i, &Held{from, m, arrived})
}

// Take empties the slots, in the order of kinds and validators.
func (a *Ahead) Take() []Held {
	var list []Held
	for _, kind := range a.slots {
		for i, h := range kind {
			if h != nil {
				list = append(list, *h)
				kind[i] = nil
			}
		}
	}
	return list
}
