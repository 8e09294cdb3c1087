package exec

// These helpers write WebAssembly modules by hand, for what a compiler would
// never write.

// Vector is the binary form of a list.
func Vector(items ...[]byte) []byte {
	out := appendU32(nil, uint32(len(items)))
	for _, item := range items {
		out = append(out, item...)
	}
	return out
}

// Section is a section of a module.
func Section(id byte, contents []byte) []byte { return appendSized([]byte{id}, contents) }

// Module is a module of these sections.
func Module(sections ...[]byte) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, s := range sections {
		out = append(out, s...)
	}
	return out
}

// Export is an entry of the export section.
func Export(name string, kind, index byte) []byte {
	return append(appendSized(nil, []byte(name)), kind, index)
}

// Body is a function without locals of its own.
func Body(code ...byte) []byte {
	return appendSized(nil, append(append([]byte{0}, code...), opEnd))
}

const opEnd = 0x0b

// Sections that most modules share.
var (
	TypeNone    = Section(typeSection, Vector([]byte{0x60, 0, 0})) // ()→()
	OneFunction = Section(functionSection, Vector([]byte{0}))      // of type 0
	OnePage     = Section(memorySection, Vector([]byte{0, 1}))     // no maximum
	Exports     = Section(exportSection, Vector(Export("memory", 2, 0), Export("_start", 0, 0)))
)

// Program is a module whose _start is this code.
func Program(code ...byte) []byte {
	return Module(TypeNone, OneFunction, OnePage, Exports, Section(codeSection, Vector(Body(code...))))
}

// Import is an entry of the import section for a function.
func Import(module, name string, functionType byte) []byte {
	return append(appendSized(appendSized(nil, []byte(module)), []byte(name)), 0, functionType)
}
