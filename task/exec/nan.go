package exec

// The bits of a NaN that arithmetic produces differ between processors (0/0 has
// its sign set on amd64 and clear on arm64), and the WebAssembly standard lets
// them. A NaN is harmless as long as it stays a float: comparisons treat all
// NaNs alike. Its bits become visible in three ways only, and so the rewriting
// makes them canonical right there:
//
//	f32.store, f64.store                  the value stored
//	i32.reinterpret_f32, i64.…_f64        the operand
//	f32.copysign, f64.copysign            the operand that gives the sign
//
// copysign's other operand needs nothing: if it is a NaN, so is the result,
// which is made canonical when it becomes visible in its turn. The rest that
// takes floats ends in a float, a comparison or a trap; floats reach no host
// function (WASI has none), and a global's value is seen only through a store.

// The value v on top of the stack becomes (v == v ? v : NaN):
//
//	local.tee t; f32.const nan; local.get t; local.get t; f32.eq; select
const (
	opLocalGet = 0x20
	opLocalTee = 0x22
	opSelect   = 0x1b
	opF32Const = 0x43
	opF64Const = 0x44
	opF32Eq    = 0x5b
	opF64Eq    = 0x61
)

var (
	canonicalF32 = []byte{opF32Const, 0, 0, 0xc0, 0x7f}
	canonicalF64 = []byte{opF64Const, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f}

	// twoTemporaries declares the locals that canonical needs: one f32, one f64.
	twoTemporaries = []byte{1, 0x7d, 1, 0x7c}
)

// canonical appends the instructions that make the float on top of the stack
// canonical, with the help of local t.
func canonical(out []byte, t uint32, nan []byte, eq byte) []byte {
	out = appendU32(append(out, opLocalTee), t)
	out = append(out, nan...)
	out = appendU32(append(out, opLocalGet), t)
	out = appendU32(append(out, opLocalGet), t)
	return append(out, eq, opSelect)
}

// code writes the code section.
func (r *rewriter) code(s *scanner) {
	n := s.u32()
	if s.err == nil && n != uint32(len(r.funcs)) {
		s.fail(ErrProgram, "it declares %d functions and defines %d", len(r.funcs), n)
	}
	r.out = appendU32(r.out, n)
	for i := 0; i < len(r.funcs) && s.err == nil; i++ {
		body := s.sized()
		size := r.reserve()
		r.function(body, r.params[r.funcs[i]])
		r.fill(size)
		s.err = body.err
	}
}

// function writes the body of a function that has that many parameters.
func (r *rewriter) function(s *scanner, params uint32) {
	groups := s.u32()
	firstGroup := s.pos
	locals := uint64(params)
	for n := groups; n > 0 && s.err == nil; n-- {
		locals += uint64(s.u32())
		s.valueTypes(1)
		if locals > maxLocals {
			s.fail(ErrProgram, "a function has over %d locals", maxLocals)
		}
	}
	firstInstruction := s.pos
	f32, f64 := uint32(locals), uint32(locals)+1

	copied := 0 // all of the body before it is written
	for s.more() {
		at := s.pos
		op := s.byte()
		s.immediates(op)
		sees32 := op == 0x38 || op == 0x98 || op == 0xbc // f32.store, f32.copysign, i32.reinterpret_f32
		sees64 := op == 0x39 || op == 0xa6 || op == 0xbd // f64.store, f64.copysign, i64.reinterpret_f64
		if !sees32 && !sees64 {
			continue
		}
		if copied == 0 {
			r.out = appendU32(r.out, groups+2)
			r.out = append(r.out, s.in[firstGroup:firstInstruction]...)
			r.out = append(r.out, twoTemporaries...)
			copied = firstInstruction
		}
		r.out = append(r.out, s.in[copied:at]...)
		copied = at
		if sees32 {
			r.out = canonical(r.out, f32, canonicalF32, opF32Eq)
		} else {
			r.out = canonical(r.out, f64, canonicalF64, opF64Eq)
		}
		if len(r.out) > maxRewritten && s.err == nil {
			s.err = tooLarge("program with canonical NaNs", len(r.out), maxRewritten)
		}
	}
	r.out = append(r.out, s.in[copied:]...)
}

// immediates passes over what follows an opcode of WebAssembly 2.0 without
// SIMD. Anything else is refused: an instruction of unknown length could hide
// a store.
func (s *scanner) immediates(op byte) {
	switch {
	case op == 0x02, op == 0x03, op == 0x04: // block, loop, if: a type
		s.skipNumber(5)
	case op == 0x0c, op == 0x0d, op == 0x10: // br, br_if, call
		s.u32()
	case op == 0x0e: // br_table: targets and a default
		for n := s.u32(); n > 0 && s.err == nil; n-- {
			s.u32()
		}
		s.u32()
	case op == 0x11: // call_indirect: type, table
		s.u32()
		s.u32()
	case op == 0x1c: // select with types
		s.valueTypes(s.u32())
	case 0x20 <= op && op <= 0x26: // local, global and table access
		s.u32()
	case 0x28 <= op && op <= 0x3e: // loads and stores: alignment, offset
		s.u32()
		s.u32()
	case op == 0x3f, op == 0x40: // memory.size, memory.grow
		s.zeros(1)
	case op == 0x41: // i32.const
		s.skipNumber(5)
	case op == 0x42: // i64.const
		s.skipNumber(10)
	case op == opF32Const:
		s.bytes(4)
	case op == opF64Const:
		s.bytes(8)
	case op == 0xd0: // ref.null
		s.valueTypes(1)
	case op == 0xd2: // ref.func
		s.u32()
	case op == 0xfc:
		s.bulkImmediates(s.u32())
	case op == 0xfd:
		s.failSIMD()
	case op == 0xfe:
		s.failThreads()
	case op <= 0x01, op == 0x05, op == 0x0b, op == 0x0f, // unreachable nop, else, end, return
		op == 0x1a, op == opSelect, // drop
		0x45 <= op && op <= 0xc4, // comparison, arithmetic, conversion
		op == 0xd1:               // ref.is_null
	default:
		s.fail(ErrProgram, "instruction %#02x is not of WebAssembly 2.0", op)
	}
}

// bulkImmediates does the same for the instructions after the prefix 0xfc.
func (s *scanner) bulkImmediates(op uint32) {
	switch op {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating truncation
	case 8: // memory.init
		s.u32()
		s.zeros(1)
	case 10: // memory.copy
		s.zeros(2)
	case 11: // memory.fill
		s.zeros(1)
	case 9, 13, 15, 16, 17: // data.drop elem.drop table.grow table.size table.fill
		s.u32()
	case 12, 14: // table.init table.copy
		s.u32()
		s.u32()
	default:
		s.fail(ErrProgram, "instruction 0xfc %d is not of WebAssembly 2.0", op)
	}
}

// zeros passes over n bytes that must be 0: the index of the only memory.
func (s *scanner) zeros(n uint32) {
	for _, b := range s.bytes(n) {
		if b != 0 {
			s.fail(ErrProgram, "memory %d of 1", b)
		}
	}
}
