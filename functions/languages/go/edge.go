// The part of `verge:edge` that this function uses, by the component model's canonical ABI: what
// a generator of bindings would write, small enough to read.
package main

import (
	"errors"
	"unsafe"
)

// Request is the host's; the function borrows it for one call.
type Request struct{ handle uint32 }

// Response is made here, and given to the host.
type Response struct{ handle uint32 }

// What the host put into this instance's memory during a call, and what it reads after it: the
// garbage collector must not take either away.
var kept [][]uint64

//go:wasmimport verge:edge/types@0.1.0 [method]request.target
func importTarget(self uint32, result unsafe.Pointer)

//go:wasmimport verge:edge/types@0.1.0 [method]request.get
func importGet(self uint32, name unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport verge:edge/types@0.1.0 [resource-drop]request
func importDropRequest(self uint32)

//go:wasmimport verge:edge/types@0.1.0 [constructor]response
func importNewResponse(status uint32) uint32

//go:wasmimport verge:edge/types@0.1.0 [method]response.apply
func importApply(self uint32, edits unsafe.Pointer, count uint32, result unsafe.Pointer)

//go:wasmimport verge:edge/types@0.1.0 [method]response.set-body
func importSetBody(self uint32, content unsafe.Pointer, length uint32, result unsafe.Pointer)

// list is a string or a list<u8> in memory.
type list struct{ pointer, length uint32 }

func (l list) String() string {
	if l.length == 0 {
		return ""
	}
	return string(unsafe.Slice((*byte)(unsafe.Pointer(uintptr(l.pointer))), l.length))
}

func pointerTo(text []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(text)) }

func address(pointer unsafe.Pointer) uint32 { return uint32(uintptr(pointer)) }

// PathAndQuery is the target's path, with the query if there is one.
func (r Request) PathAndQuery() string {
	var target struct{ method, scheme, authority, pathAndQuery list }
	importTarget(r.handle, unsafe.Pointer(&target))
	return target.pathAndQuery.String()
}

// Get is the value of a field, its lines joined.
func (r Request) Get(name string) (string, bool) {
	var value struct {
		isSome uint32
		value  list
	}
	text := []byte(name)
	importGet(r.handle, pointerTo(text), uint32(len(text)), unsafe.Pointer(&value))
	return value.value.String(), value.isSome&0xff != 0
}

// NewResponse makes an empty one.
func NewResponse(status uint16) *Response {
	return &Response{importNewResponse(uint32(status))}
}

// Set replaces all lines of a field.
func (r *Response) Set(name, value string) error {
	nameBytes, valueBytes := []byte(name), []byte(value)
	// The variant `edit`: 0 is `set`.
	edit := struct {
		kind        uint32
		name, value list
	}{
		0,
		list{address(pointerTo(nameBytes)), uint32(len(nameBytes))},
		list{address(pointerTo(valueBytes)), uint32(len(valueBytes))},
	}
	var result [2]byte
	importApply(r.handle, unsafe.Pointer(&edit), 1, unsafe.Pointer(&result))
	// Until here the host has read them by address.
	keep(nameBytes, valueBytes)
	if result[0] != 0 {
		return errors.New("the field is refused: " + name)
	}
	return nil
}

// SetBody replaces the content.
func (r *Response) SetBody(content []byte) error {
	var result [2]byte
	importSetBody(r.handle, pointerTo(content), uint32(len(content)), unsafe.Pointer(&result))
	if result[0] != 0 {
		return errors.New("the content is refused")
	}
	return nil
}

//go:noinline
func keep(...[]byte) {}

// What a call returns: result<verdict, string>.
var returned struct {
	isError uint32
	// A verdict (0 is `next`, 1 `respond`) and its response, or the text of an error.
	first, second uint32
}

//go:wasmexport verge:edge/viewer-request@0.1.0#handle
func exportHandle(request uint32) unsafe.Pointer {
	kept = nil
	response, err := handle(Request{request})
	importDropRequest(request)
	returned.isError, returned.first, returned.second = 0, 0, 0
	switch {
	case err != nil:
		text := alloc(uint32(len(err.Error())))
		copy(unsafe.Slice((*byte)(text), len(err.Error())), err.Error())
		returned.isError, returned.first, returned.second = 1, address(text), uint32(len(err.Error()))
	case response != nil:
		returned.first, returned.second = 1, response.handle
	}
	return unsafe.Pointer(&returned)
}

// Under this name for imports alone: what adapts WASI must not ask Go for memory before Go's own
// runtime has begun, and takes a page of its own instead.
//
//go:wasmexport cabi_import_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	made := alloc(size)
	copy(unsafe.Slice((*byte)(made), size), unsafe.Slice((*byte)(old), oldSize))
	return made
}

func alloc(size uint32) unsafe.Pointer {
	words := make([]uint64, size/8+1)
	kept = append(kept, words)
	return unsafe.Pointer(unsafe.SliceData(words))
}
