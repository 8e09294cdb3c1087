package exec

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
)

// memoryAfter runs a module as it is, without rewriting it, and returns the
// first 8 bytes of its memory as a number.
func memoryAfter(t *testing.T, module []byte) uint64 {
	t.Helper()
	rt := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithCoreFeatures(features))
	defer rt.Close(t.Context())
	mod, err := rt.Instantiate(t.Context(), module)
	if err != nil {
		t.Fatal(err)
	}
	bits, ok := mod.Memory().ReadUint64Le(0)
	if !ok {
		t.Fatal("no memory")
	}
	return bits
}

func f64Bits(bits uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{opF64Const}, bits)
}

func f32Bits(bits uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{opF32Const}, bits)
}

// Instructions of the tests.
var (
	zeroAddress = []byte{0x41, 0}              // i32.const 0
	storeI32    = []byte{0x36, 2, 0}           // i32.store
	storeI64    = []byte{0x37, 3, 0}           // i64.store
	storeF32    = []byte{0x38, 2, 0}           // f32.store
	storeF64    = []byte{0x39, 3, 0}           // f64.store
	loadZeroF64 = []byte{0x41, 16, 0x2b, 3, 0} // i32.const 16; f64.load: 0, unknown to a compiler
	loadZeroF32 = []byte{0x41, 16, 0x2a, 2, 0}
	divF64      = []byte{0xa3}
	divF32      = []byte{0x95}
	negF64      = []byte{0x9a}
	copysignF64 = []byte{0xa6}
	copysignF32 = []byte{0x98}
	asI64       = []byte{0xbd} // i64.reinterpret_f64
	asI32       = []byte{0xbc}
	demote      = []byte{0xb6}
)

const (
	nan64 = 0x7ff8_0000_0000_0000
	nan32 = 0x7fc0_0000
)

func TestNaNsAreCanonicalWhereTheirBitsAreSeen(t *testing.T) {
	// Each odd NaN differs from the canonical one by sign or payload, so that
	// no processor makes the test pass by itself.
	odd64, odd32 := f64Bits(0xfff8_0000_dead_beef), f32Bits(0xffc0_beef)
	one64, one32 := f64Bits(math.Float64bits(1)), f32Bits(math.Float32bits(1))
	for _, tt := range []struct {
		name string
		code [][]byte
		want uint64
	}{
		{"f64.store", [][]byte{zeroAddress, odd64, storeF64}, nan64},
		{"f32.store", [][]byte{zeroAddress, odd32, storeF32}, nan32},
		{"i64.reinterpret_f64", [][]byte{zeroAddress, odd64, asI64, storeI64}, nan64},
		{"i32.reinterpret_f32", [][]byte{zeroAddress, odd32, asI32, storeI32}, nan32},
		{"f64.copysign by a NaN", [][]byte{zeroAddress, one64, odd64, copysignF64, asI64, storeI64}, math.Float64bits(1)},
		{"f32.copysign by a NaN", [][]byte{zeroAddress, one32, odd32, copysignF32, asI32, storeI32}, uint64(math.Float32bits(1))},
		{"f64.copysign of a NaN", [][]byte{zeroAddress, odd64, one64, negF64, copysignF64, storeF64}, nan64},
		{"a NaN made shorter", [][]byte{zeroAddress, odd64, demote, storeF32}, nan32},
		{"in nested blocks", [][]byte{{0x02, 0x40, 0x03, 0x40}, zeroAddress, odd64, storeF64, {opEnd, opEnd}}, nan64},
		{"offset with a long encoding", [][]byte{zeroAddress, odd64, {0x39, 3, 0x80, 0x80, 0x80, 0x80, 0}}, nan64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			module := Program(slices.Concat(tt.code...)...)
			if got := memoryAfter(t, module); got == tt.want {
				t.Fatalf("without rewriting the bits are %#x already: the test shows nothing", got)
			}
			once := mustRewrite(t, module)
			if got := memoryAfter(t, once); got != tt.want {
				t.Errorf("bits = %#x, want %#x", got, tt.want)
			}
			if got := memoryAfter(t, mustRewrite(t, once)); got != tt.want {
				t.Errorf("rewritten twice: bits = %#x, want %#x", got, tt.want)
			}
		})
	}
}

// What a processor makes of 0/0 is its own affair; what is seen is not.
func TestZeroByZeroHasTheSameBitsEverywhere(t *testing.T) {
	for _, tt := range []struct {
		name string
		code [][]byte
		want uint64
	}{
		{"f64", [][]byte{zeroAddress, loadZeroF64, loadZeroF64, divF64, storeF64}, nan64},
		{"-f64", [][]byte{zeroAddress, loadZeroF64, loadZeroF64, divF64, negF64, storeF64}, nan64},
		{"f32", [][]byte{zeroAddress, loadZeroF32, loadZeroF32, divF32, asI32, storeI32}, nan32},
	} {
		if got := memoryAfter(t, mustRewrite(t, Program(slices.Concat(tt.code...)...))); got != tt.want {
			t.Errorf("%s: bits = %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

func TestNumbersKeepTheirBits(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1.5, -math.Pi, math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, math.MaxFloat64} {
		want := math.Float64bits(f)
		for name, code := range map[string][]byte{
			"store":       slices.Concat(zeroAddress, f64Bits(want), storeF64),
			"reinterpret": slices.Concat(zeroAddress, f64Bits(want), asI64, storeI64),
			"copysign":    slices.Concat(zeroAddress, f64Bits(math.Float64bits(math.Abs(f))), f64Bits(want), copysignF64, storeF64),
		} {
			if got := memoryAfter(t, mustRewrite(t, Program(code...))); got != want {
				t.Errorf("%s of %g: bits = %#x, want %#x", name, f, got, want)
			}
		}
	}
}

// The temporaries come after parameters and locals, whose values stay.
func TestTemporariesDoNotTouchLocals(t *testing.T) {
	store := []byte{ // (param i32 f64): local 200 of 199 i64 and one f64 = param 1; store it
		2, 0xc7, 1, 0x7e, 1, 0x7c, // locals: 199 i64, 1 f64
		0x20, 1, 0x21, 0xc9, 1, // local.get 1; local.set 201
		0x20, 0, 0x20, 0xc9, 1, // local.get 0; local.get 201
	}
	store = append(append(store, storeF64...), opEnd)
	call := slices.Concat(zeroAddress, f64Bits(math.Float64bits(2.5)), []byte{0x10, 1})
	module := Module(
		Section(typeSection, Vector([]byte{0x60, 0, 0}, []byte{0x60, 2, 0x7f, 0x7c, 0})),
		Section(functionSection, Vector([]byte{0}, []byte{1})),
		OnePage, Exports,
		Section(codeSection, Vector(Body(call...), appendSized(nil, store))),
	)
	if got, want := memoryAfter(t, mustRewrite(t, module)), math.Float64bits(2.5); got != want {
		t.Errorf("bits = %#x, want %#x", got, want)
	}
}

// A store that is never reached must still be valid after the rewriting.
func TestUnreachableCodeStaysValid(t *testing.T) {
	code := slices.Concat([]byte{0x0f}, storeF64, []byte{0x00}, asI32, []byte{0x1a}) // return; f64.store; unreachable; reinterpret; drop
	memoryAfter(t, mustRewrite(t, Program(code...)))
}

// Growing ends at the same size everywhere, with or without a maximum of the
// module's own.
func TestMemoryAndTablesEndAtTheirBounds(t *testing.T) {
	grow := func(pages byte) []byte { // memory[0] = memory.grow(pages)
		return slices.Concat(zeroAddress, []byte{0x41, pages, 0x40, 0}, storeI32)
	}
	tableGrow := slices.Concat(zeroAddress, []byte{0xd0, 0x70, 0x41}, []byte{0x80, 0x80, 0xc0, 0}, []byte{0xfc, 15, 0}, storeI32)
	table := Section(tableSection, Vector([]byte{0x70, 0, 1}))
	for _, tt := range []struct {
		name   string
		module []byte
		want   uint32
	}{
		{"memory up to the limit", Program(grow(3)...), 1},
		{"memory over the limit", Program(grow(4)...), math.MaxUint32},
		{"memory over its own maximum", Module(TypeNone, OneFunction, Section(memorySection, Vector([]byte{1, 1, 2})), Exports,
			Section(codeSection, Vector(Body(grow(2)...)))), math.MaxUint32},
		{"memory over the limit, under its own maximum", Module(TypeNone, OneFunction, Section(memorySection, Vector([]byte{1, 1, 100})), Exports,
			Section(codeSection, Vector(Body(grow(4)...)))), math.MaxUint32},
		{"table over the bound", Module(TypeNone, OneFunction, table, OnePage, Exports,
			Section(codeSection, Vector(Body(tableGrow...)))), math.MaxUint32},
	} {
		module, err := rewrite(tt.module, 4)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := uint32(memoryAfter(t, module)); got != tt.want {
			t.Errorf("%s: growing returns %d, want %d", tt.name, int32(got), int32(tt.want))
		}
	}
}

func mustRewrite(t *testing.T, module []byte) []byte {
	t.Helper()
	out, err := rewrite(module, 16)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// compiles reports whether wazero takes a module. The interpreter validates as
// the compiler does, and is faster at it.
func compiles(t *testing.T, module []byte) bool {
	config := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features).WithDebugInfoEnabled(false)
	rt := wazero.NewRuntimeWithConfig(t.Context(), config)
	defer rt.Close(t.Context())
	_, err := rt.CompileModule(t.Context(), module)
	return err == nil
}

// Whatever bytes come, rewriting returns an error of its class or a module
// that is valid if the given one was.
func FuzzRewrite(f *testing.F) {
	for _, code := range [][]byte{
		slices.Concat(zeroAddress, f64Bits(nan64), storeF64),
		slices.Concat(zeroAddress, f32Bits(nan32), f32Bits(1), copysignF32, asI32, storeI32),
		{0x41, 0, 0x0e, 1, 0, 0},                    // br_table
		{0xfd, 0x0c}, {0xfe, 0x03, 0, 0}, {0x12, 0}, // SIMD, atomics, tail call
		{0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0}, // memory.fill
		{0xd0, 0x70, 0x1a, 0x42, 0x7f, 0x1a, 0x02, 0x40, opEnd},
	} {
		f.Add(Program(code...))
	}
	f.Add(Module(TypeNone, Section(importSection, Vector(Import(wasiModule, "sched_yield", 0)))))
	f.Fuzz(func(t *testing.T, module []byte) {
		out, err := rewrite(module, 16)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error of no class: %v", err)
			}
			return
		}
		if len(out) > maxRewritten {
			t.Fatalf("%d bytes after rewriting", len(out))
		}
		if compiles(t, module) && !compiles(t, out) {
			t.Fatalf("valid before, invalid after:\n%x\n%x", module, out)
		}
	})
}
