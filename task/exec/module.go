package exec

import (
	"bytes"
	"slices"
)

// Bounds of a module that hold on every machine.
const (
	maxRewritten    = MaxProgram + 8<<20 // bytes of a module after rewriting
	maxTableEntries = 1 << 20            // of each table: growing it further fails
	maxFunctions    = 1 << 20            // of a module, and as many types
	maxLocals       = 50_000             // of a function, as in other engines
)

// Sections of a module, by their identifiers.
const (
	customSection = iota
	typeSection
	importSection
	functionSection
	tableSection
	memorySection
	globalSection
	exportSection
	startSection
	elementSection
	codeSection
	dataSection
	dataCountSection
)

// sectionOrder is the order in which a module's sections must come, each at
// most once. Custom sections may stand anywhere.
var sectionOrder = []byte{
	typeSection, importSection, functionSection, tableSection, memorySection, globalSection,
	exportSection, startSection, elementSection, dataCountSection, codeSection, dataSection,
}

// A rewriter turns a module into one that behaves alike on every machine.
type rewriter struct {
	out      []byte // the new module, as far as it is written
	maxPages uint32
	params   []uint32 // of each type: how many parameters it has
	funcs    []uint32 // of each function of the module's own: its type
	memory   bool     // it has a memory
	starts   bool     // it exports a function _start
}

// rewrite returns a module that does what the given one does, but alike on
// every machine: NaNs are canonical wherever their bits could be seen, memory
// ends at maxPages and tables at maxTableEntries. It refuses what is left out
// of wasm-det: SIMD, threads, and imports other than functions of WASI; and a
// module without a memory or a function _start.
// Custom sections (names, debug information) are dropped.
//
// It reads only as much as it must and does not type-check: a module that is
// not valid may pass, and then fails to compile, with or without the rewriting.
func rewrite(module []byte, maxPages uint32) ([]byte, error) {
	if len(module) > MaxProgram {
		return nil, tooLarge("program", len(module), MaxProgram)
	}
	s := &scanner{in: module}
	if !bytes.HasPrefix(module, []byte("\x00asm")) {
		s.fail(ErrNotWASM, "it does not begin with \\0asm")
	} else if !bytes.HasPrefix(module, []byte("\x00asm\x01\x00\x00\x00")) {
		s.fail(ErrNotWASM, "it is not a core module of version 1")
	}
	r := rewriter{maxPages: maxPages, out: make([]byte, 0, len(module)+len(module)/16)}
	r.out = append(r.out, s.bytes(8)...)
	next := 0 // the first place in sectionOrder that is still allowed
	for s.more() {
		id := s.byte()
		body := s.sized()
		if id == customSection {
			continue
		}
		place := slices.Index(sectionOrder[next:], id)
		if place < 0 {
			s.fail(ErrProgram, "section %d is unknown, repeated or out of order", id)
			break
		}
		next += place + 1
		r.out = append(r.out, id)
		size := r.reserve()
		r.section(id, body)
		r.fill(size)
		s.err = body.end("a section")
	}
	if !r.starts {
		s.fail(ErrProgram, "it has no function _start: compile it as a WASI command")
	}
	if !r.memory {
		s.fail(ErrProgram, "it has no memory")
	}
	return r.out, s.err
}

// reserve leaves room for the length of what is written next.
func (r *rewriter) reserve() (at int) {
	r.out = append(r.out, 0x80, 0x80, 0x80, 0x80, 0)
	return len(r.out) - 5
}

// fill writes the length of everything since reserve returned at, in the five
// bytes that a LEB128 number of 32 bits may have.
func (r *rewriter) fill(at int) {
	size := len(r.out) - at - 5
	for i := range 5 {
		r.out[at+i] |= byte(size>>(7*i)) & 0x7f
	}
}

// copyRest passes over what is left in s and writes it as it is.
func (r *rewriter) copyRest(s *scanner) {
	r.out = append(r.out, s.in[s.pos:]...)
	s.pos = len(s.in)
}

// section writes the new contents of a section.
func (r *rewriter) section(id byte, s *scanner) {
	switch id {
	case typeSection:
		r.types(s)
	case importSection:
		r.imports(s)
	case functionSection:
		r.functions(s)
	case exportSection:
		r.exports(s)
	case tableSection:
		r.tables(s)
		return
	case memorySection:
		r.memories(s)
		return
	case codeSection:
		r.code(s)
		return
	default:
		r.copyRest(s)
		return
	}
	r.out = append(r.out, s.in...) // which was only read
}

func (r *rewriter) types(s *scanner) {
	for n := s.u32(); n > 0 && s.err == nil; n-- {
		if form := s.byte(); form != 0x60 {
			s.fail(ErrProgram, "type form %#x is not a function", form)
		}
		params := s.u32()
		s.valueTypes(params)
		s.valueTypes(s.u32())
		r.params = append(r.params, params)
		if len(r.params) > maxFunctions {
			s.fail(ErrProgram, "it has over %d types", maxFunctions)
		}
	}
}

// valueTypes passes over n value types.
func (s *scanner) valueTypes(n uint32) {
	for _, t := range s.bytes(n) {
		switch t {
		case 0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f: // i32 i64 f32 f64 funcref externref
		case 0x7b:
			s.failSIMD()
		default:
			s.fail(ErrProgram, "value type %#x is unknown", t)
		}
	}
}

func (s *scanner) failSIMD() {
	s.fail(ErrProgram, "it uses SIMD, which is not offered: compile without simd128")
}

func (s *scanner) failThreads() {
	s.fail(ErrProgram, "it uses threads (atomics or shared memory), which are not offered")
}

func (r *rewriter) imports(s *scanner) {
	for n := s.u32(); n > 0 && s.err == nil; n-- {
		module := string(s.bytes(s.u32()))
		name := string(s.bytes(s.u32()))
		kind := s.byte()
		s.u32() // the function's type; wazero compares it with the real one
		if s.err == nil && (kind != 0 || module != wasiModule || !slices.Contains(wasiFunctions, name)) {
			s.fail(ErrProgram, "it imports %.64q from %.64q; only the functions of %s are offered", name, module, wasiModule)
		}
	}
}

func (r *rewriter) functions(s *scanner) {
	for n := s.u32(); n > 0 && s.err == nil; n-- {
		t := s.u32()
		if t >= uint32(len(r.params)) {
			s.fail(ErrProgram, "a function has type %d of %d", t, len(r.params))
		}
		r.funcs = append(r.funcs, t)
		if len(r.funcs) > maxFunctions {
			s.fail(ErrProgram, "it has over %d functions", maxFunctions)
		}
	}
}

func (r *rewriter) tables(s *scanner) {
	n := s.u32()
	r.out = appendU32(r.out, n)
	for ; n > 0 && s.err == nil; n-- {
		r.out = append(r.out, s.byte())
		r.limits(s, "table entries", maxTableEntries)
	}
}

func (r *rewriter) memories(s *scanner) {
	n := s.u32()
	if n > 1 {
		s.fail(ErrProgram, "it has %d memories, want at most 1", n)
	}
	r.out = appendU32(r.out, n)
	if n == 1 {
		r.limits(s, "memory pages", r.maxPages)
		r.memory = true
	}
}

// limits writes the limits of a table or memory, with a maximum of at most
// bound. So growing fails at the same size everywhere.
func (r *rewriter) limits(s *scanner, what string, bound uint32) {
	flags := s.byte()
	if flags == 2 || flags == 3 {
		s.failThreads()
	} else if flags > 1 {
		s.fail(ErrProgram, "%s have unknown flags %#x", what, flags)
	}
	least, most := s.u32(), bound
	if flags == 1 {
		most = min(s.u32(), bound)
	}
	if least > bound {
		s.fail(ErrProgram, "%s: it begins with %d, the most allowed is %d", what, least, bound)
	}
	r.out = appendU32(appendU32(append(r.out, 1), least), most)
}

func (r *rewriter) exports(s *scanner) {
	for n := s.u32(); n > 0 && s.err == nil; n-- {
		name := s.bytes(s.u32())
		kind := s.byte()
		s.u32()
		r.starts = r.starts || kind == 0 && string(name) == "_start"
	}
}
