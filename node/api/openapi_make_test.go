package api

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

type object = map[string]any

// maker makes openapi.json of the table of operations and of package view.
type maker struct {
	schemas object
	docs    map[string]string   // of types and, as Type.Field, of fields
	enums   map[string][]string // values of the string types that have constants
}

// makeOpenAPI returns the document that describes the operations.
func makeOpenAPI(t *testing.T) []byte {
	t.Helper()
	m := maker{schemas: object{}, docs: map[string]string{}, enums: map[string][]string{}}
	m.readViews(t)
	paths := object{}
	for pattern, op := range operations() {
		method, path, _ := strings.Cut(pattern, " ")
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = m.operation(method, path, op)
	}
	doc := object{
		"openapi": "3.0.3",
		"info": object{
			"title": "sage-p2p", "version": "1", "license": object{"name": "Apache-2.0"},
			"description": "A platform of a federation, over HTTP on loopback. Reads need no token, writes the bearer token of HOME/api.token. " +
				"Amounts (_uatp) are millionths of an ATP, shares (_ppm) millionths, times (_ms) Unix milliseconds.",
		},
		"paths": paths,
		"components": object{
			"schemas":         m.schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

var pathParam = regexp.MustCompile(`\{([a-z]+)\}`)

func (m maker) operation(method, path string, op operation) object {
	o := object{"summary": op.does, "operationId": operationID(method, path), "responses": m.responses(method, op)}
	var params []any
	for _, p := range pathParam.FindAllStringSubmatch(path, -1) {
		params = append(params, object{"name": p[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range op.query {
		schema := object{"type": "string"}
		if q.number {
			schema = object{"type": "integer", "minimum": 0}
		}
		if len(q.values) > 0 {
			schema["enum"] = q.values
		}
		params = append(params, object{"name": q.name, "in": "query", "description": q.does, "schema": schema})
	}
	if params != nil {
		o["parameters"] = params
	}
	if method != "GET" {
		o["security"] = []any{object{"token": []any{}}}
	}
	switch {
	case op.media == "multipart/form-data":
		o["requestBody"] = required(op.media, object{"type": "object", "required": []string{"spec"}, "properties": object{
			"spec": m.schema(reflect.TypeFor[view.NewTask]()), "program": binary(), "input": binary(),
		}})
	case op.media != "":
		o["requestBody"] = required(op.media, binary())
	case op.body != nil:
		o["requestBody"] = required("application/json", m.schema(reflect.TypeOf(op.body)))
	}
	return o
}

func required(media string, schema object) object {
	return object{"required": true, "content": object{media: object{"schema": schema}}}
}

func binary() object { return object{"type": "string", "format": "binary"} }

// operationID makes getTasksWhyNot of GET /api/v1/tasks/{task}/why-not. What
// names one thing ends in One.
func operationID(method, path string) string {
	id := strings.ToLower(method)
	for word := range strings.FieldsFuncSeq(strings.TrimPrefix(path, "/api/v1"), func(r rune) bool { return strings.ContainsRune("/-.", r) }) {
		if word[0] != '{' {
			id += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	if strings.HasSuffix(path, "}") {
		id += "One"
	}
	return id
}

// responses are what an operation answers: what it is for, or a Failure.
func (m maker) responses(method string, op operation) object {
	content := object{}
	if op.answer != nil {
		content["application/json"] = object{"schema": m.schema(reflect.TypeOf(op.answer))}
	}
	for _, media := range op.streams {
		content[media] = object{"schema": binary()}
	}
	failure := func(what string) object {
		return object{"description": what, "content": object{"application/json": object{"schema": m.schema(reflect.TypeFor[view.Failure]())}}}
	}
	busy := failure("There is no place for one more request, or the node is not ready: try again.")
	busy["headers"] = object{"Retry-After": object{"description": "Seconds.", "schema": object{"type": "integer"}}}
	all := object{"200": object{"description": "Done.", "content": content}, "503": busy, "default": failure("What is wrong, and what to do.")}
	if method != "GET" {
		all["202"] = object{"description": "Durable and on its way; not final yet.", "content": content}
	}
	return all
}

// schema describes a type of package view; structs are named and referred to.
func (m maker) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[view.CID]() || t == reflect.TypeFor[peer.ID]():
		return object{"type": "string"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{"description": "Any JSON."}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": m.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		s := object{"type": "string"}
		if values := m.enums[t.Name()]; len(values) > 0 && t.PkgPath() != "" {
			s["enum"] = values
		}
		return s
	case reflect.Struct:
		m.object(t)
		return object{"$ref": "#/components/schemas/" + schemaName(t)}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	default:
		return object{"type": "integer"}
	}
}

func schemaName(t reflect.Type) string { return strings.ToUpper(t.Name()[:1]) + t.Name()[1:] }

// object describes a struct among the components, once.
func (m maker) object(t reflect.Type) {
	if m.schemas[schemaName(t)] != nil {
		return
	}
	properties, must := object{}, []string{}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if doc := m.docs[t.Name()]; doc != "" {
		s["description"] = doc
	}
	m.schemas[schemaName(t)] = s
	m.fields(t, properties, &must)
	if len(must) > 0 {
		slices.Sort(must)
		s["required"] = must
	}
}

func (m maker) fields(t reflect.Type, properties object, must *[]string) {
	for f := range t.Fields() {
		if f.Anonymous {
			m.fields(f.Type, properties, must)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := m.schema(f.Type)
		if doc := m.docs[t.Name()+"."+f.Name]; doc != "" && p["$ref"] == nil {
			p["description"] = doc
		}
		properties[name] = p
		if !strings.Contains(options, "omit") {
			*must = append(*must, name)
		}
	}
}

// readViews takes comments and constants from the source of package view.
func (m maker) readViews(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("view", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					m.readType(s, d.Doc)
				case *ast.ValueSpec:
					m.readConst(s)
				}
			}
			return false
		})
	}
}

func (m maker) readType(s *ast.TypeSpec, doc *ast.CommentGroup) {
	m.docs[s.Name.Name] = sentence(doc)
	fields, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range fields.Fields.List {
		for _, name := range f.Names {
			if m.docs[s.Name.Name+"."+name.Name] = sentence(f.Comment); f.Doc != nil {
				m.docs[s.Name.Name+"."+name.Name] = sentence(f.Doc)
			}
		}
	}
}

func (m maker) readConst(s *ast.ValueSpec) {
	typ, ok := s.Type.(*ast.Ident)
	if !ok {
		return
	}
	for _, v := range s.Values {
		if lit, ok := v.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				m.enums[typ.Name] = append(m.enums[typ.Name], text)
			}
		}
	}
}

// sentence is a comment in one line.
func sentence(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// rewriteOpenAPI writes openapi.json anew.
func rewriteOpenAPI(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("openapi.json", makeOpenAPI(t), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Println("openapi.json is written anew: run the tests again")
}

// patterns lists the keys of a table in order.
func patterns[V any](table map[string]V) []string { return slices.Sorted(maps.Keys(table)) }
