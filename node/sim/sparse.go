package sim

// sparse is a fixed number of bytes, of which most are zero: pages are made
// when they are first written.
type sparse [][]byte

const pageSize = 1 << 10 // a record takes one or two

func newSparse(size int) sparse { return make(sparse, (size+pageSize-1)/pageSize) }

// read fills p from an offset on.
func (s sparse) read(p []byte, offset int) {
	for n := 0; n < len(p); {
		page, at := s[(offset+n)/pageSize], (offset+n)%pageSize
		part := p[n:min(n+pageSize-at, len(p))]
		if page == nil {
			clear(part)
		} else {
			copy(part, page[at:])
		}
		n += len(part)
	}
}

// write puts p at an offset.
func (s sparse) write(p []byte, offset int) {
	for n := 0; n < len(p); {
		i, at := (offset+n)/pageSize, (offset+n)%pageSize
		if s[i] == nil {
			s[i] = make([]byte, pageSize)
		}
		n += copy(s[i][at:], p[n:])
	}
}

// assign makes s the same as other, of the same size.
func (s sparse) assign(other sparse) {
	for i, page := range other {
		if page == nil {
			s[i] = nil
		} else {
			s[i] = append(s[i][:0], page...)
		}
	}
}

// clone returns a copy that shares nothing with s.
func (s sparse) clone() sparse {
	c := make(sparse, len(s))
	c.assign(s)
	return c
}
