package bft

import "io"

// Evidence is two statements of one validator that no correct one makes both
// of. It proves itself to anyone who knows the validator's key.
type Evidence struct {
	First, Second Signed
}

// Verify fails with [ErrInvalid] unless e proves that its signer, whose
// membership the caller checks, contradicted itself.
func (e Evidence) Verify(scheme Scheme, genesis GenesisHash) error {
	for _, s := range []Signed{e.First, e.Second} {
		if !s.Valid(scheme, genesis) {
			return invalidf("evidence: signature of %v", s.Kind)
		}
	}
	return e.Check()
}

// Check is [Evidence.Verify] but for the signatures ([Evidence.Claims]).
func (e Evidence) Check() error {
	for _, s := range []Signed{e.First, e.Second} {
		if err := s.Statement.check(); err != nil {
			return err
		}
	}
	if !contradict(e.First, e.Second) {
		return invalidf("evidence: %v and %v of %s do not contradict each other", e.First.Kind, e.Second.Kind, e.First.Signer)
	}
	return nil
}

// Claims are the two signatures, for who judges many in one batch.
func (e Evidence) Claims(genesis GenesisHash) []Claim {
	return []Claim{e.First.claim(genesis), e.Second.claim(genesis)}
}

// MarshalCBOR writes e as a tuple.
func (e *Evidence) MarshalCBOR(out io.Writer) error {
	return flush(out, 4*fieldsSize, func(w *writer) {
		w.array(2)
		e.First.write(w)
		e.Second.write(w)
	})
}

// UnmarshalCBOR reads the form written by [Evidence.MarshalCBOR]. It fails with
// [ErrInvalid] and leaves e as it was.
func (e *Evidence) UnmarshalCBOR(in io.Reader) error {
	r := &reader{src: in}
	r.array(2)
	first, second := readSigned(r), readSigned(r)
	if r.err == nil && (first == nil || second == nil) {
		r.fail("evidence without its two statements")
	}
	if r.err != nil {
		return r.err
	}
	for _, s := range []*Signed{first, second} {
		if err := s.Statement.check(); err != nil {
			return err
		}
	}
	*e = Evidence{*first, *second}
	return nil
}

// contradict reports whether one validator said both a and b, and no correct
// one does: two Proposals, PREPAREs or COMMITs of one view for different blocks
// (against S1); or a COMMIT in view v, and a Timeout of a view ≥ v that declares
// a highQC below v (against S5 and S6).
func contradict(a, b Signed) bool {
	if a.Signer != b.Signer || a.Height != b.Height {
		return false
	}
	if a.Kind == KindTimeout && b.Kind == KindCommit {
		a, b = b, a
	}
	if a.Kind == KindCommit && b.Kind == KindTimeout {
		return b.View >= a.View && b.HighView < a.View
	}
	return a.Kind == b.Kind && a.Kind != KindTimeout && a.View == b.View && a.Block != b.Block
}
