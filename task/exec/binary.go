package exec

import "fmt"

// A scanner reads the WebAssembly binary format. Its input is hostile: every
// length is checked against what is left before it is used. The first error
// stays, and everything read after it is zero.
type scanner struct {
	in  []byte
	pos int
	err error
}

// more reports whether input is left. It is false after an error, so that a
// loop over it ends.
func (s *scanner) more() bool { return s.err == nil && s.pos < len(s.in) }

// fail records the first error; blame is the class.
func (s *scanner) fail(class error, format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s", class, fmt.Sprintf(format, args...))
	}
}

func (s *scanner) byte() byte {
	if !s.more() {
		s.fail(ErrProgram, "the module ends in the middle")
		return 0
	}
	s.pos++
	return s.in[s.pos-1]
}

// bytes returns the next n bytes, which alias the input.
func (s *scanner) bytes(n uint32) []byte {
	if s.err != nil || uint64(n) > uint64(len(s.in)-s.pos) {
		s.fail(ErrProgram, "the module ends in the middle")
		return nil
	}
	s.pos += int(n)
	return s.in[s.pos-int(n) : s.pos]
}

// u32 reads an unsigned LEB128 number of at most 32 bits.
func (s *scanner) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := s.byte()
		v |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			if v >= 1<<32 {
				s.fail(ErrProgram, "a number is over 32 bits")
				return 0
			}
			return uint32(v)
		}
	}
	s.fail(ErrProgram, "a number is over 32 bits")
	return 0
}

// skipNumber passes over a LEB128 number of at most n bytes, of either sign.
func (s *scanner) skipNumber(n int) {
	for range n {
		if s.byte()&0x80 == 0 {
			return
		}
	}
	s.fail(ErrProgram, "a number is over %d bytes", n)
}

// sized returns a scanner over what follows a length: a section or a body.
func (s *scanner) sized() *scanner {
	in := s.bytes(s.u32())
	return &scanner{in: in, err: s.err}
}

// end returns the error of the scanner, or one if input is left.
func (s *scanner) end(what string) error {
	if s.more() {
		s.fail(ErrProgram, "%s is longer than its contents", what)
	}
	return s.err
}

// appendU32 appends v in its shortest LEB128 form.
func appendU32(out []byte, v uint32) []byte {
	for v >= 0x80 {
		out = append(out, byte(v)|0x80)
		v >>= 7
	}
	return append(out, byte(v))
}

// appendSized appends body after its length.
func appendSized(out, body []byte) []byte {
	return append(appendU32(out, uint32(len(body))), body...)
}
