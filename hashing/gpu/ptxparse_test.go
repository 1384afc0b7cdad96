//go:build !nogpu && linux && !android && (amd64 || arm64)

package gpu

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

var (
	ptxDirective = regexp.MustCompile(`^\.(version \d+\.\d+|target sm_\d+|address_size 64|visible \.const \.align 4 \.b8 K\[256\] = \{[\d, ]+\};)$`)
	ptxEntry     = regexp.MustCompile(`^\.visible \.entry (\w+)\($`)
	ptxParameter = regexp.MustCompile(`^\.param \.(u32|u64|align (?:8|16|32) \.b8) (\w+)(?:\[(\d+)\])?,?$`)
	ptxRegisters = regexp.MustCompile(`^\.reg \.(pred|b32|b64) (%p|%r|%rd)<(\d+)>;$`)
	ptxLine      = regexp.MustCompile(`^(?:@(!?)(%p\d+) )?([a-z][\w.]*)(?: (.*))?;$`)
	ptxAddress   = regexp.MustCompile(`^\[([%\w]+)(?:\+(\d+))?\]$`)
	ptxLabel     = regexp.MustCompile(`^(\$\w+):$`)
)

// ptxParser reads a program line by line.
type ptxParser struct {
	program *ptxProgram
	params  map[string]ptxParam
	bytes   int // of the parameters so far
	classes map[byte]struct{ first, count int }
	numbers map[uint64]int
	labels  map[string]int
}

// parsedPTX holds what is the same for every test: a program is only read when it runs.
var parsedPTX sync.Map

// parsePTX reads the one kernel of a file, once.
func parsePTX(source string) (*ptxProgram, error) {
	if known, ok := parsedPTX.Load(source); ok {
		return known.(*ptxProgram), nil
	}
	program, err := parseNewPTX(source)
	if err == nil {
		parsedPTX.Store(source, program)
	}
	return program, err
}

func parseNewPTX(source string) (*ptxProgram, error) {
	p := &ptxParser{
		program: &ptxProgram{special: map[string]int{}}, params: map[string]ptxParam{},
		classes: map[byte]struct{ first, count int }{}, numbers: map[uint64]int{}, labels: map[string]int{},
	}
	const roomForNumbers = 512
	p.program.constants, p.program.registers = make([]uint64, 0, roomForNumbers), roomForNumbers
	for _, name := range []string{"%tid.x", "%ctaid.x"} {
		p.program.special[name] = p.program.registers
		p.program.registers++
	}
	read := p.head
	for n, line := range strings.Split(source, "\n") {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.Join(strings.Fields(line), " "); line == "" {
			continue
		}
		next, err := read(line)
		if err != nil {
			return nil, fmt.Errorf("PTX line %d, %.80s: %w", n+1, line, err)
		}
		read = next
	}
	for i := range p.program.code {
		in := &p.program.code[i]
		if in.kind != ptxBranch {
			continue
		}
		at, ok := p.labels[in.label]
		if !ok {
			return nil, fmt.Errorf("PTX: there is no label %s", in.label)
		}
		in.next = at
	}
	if len(p.program.code) == 0 {
		return nil, fmt.Errorf("PTX: no kernel")
	}
	return p.program, nil
}

// ptxReader reads a line and returns what reads the next one.
type ptxReader func(line string) (ptxReader, error)

func (p *ptxParser) head(line string) (ptxReader, error) {
	if m := ptxEntry.FindStringSubmatch(line); m != nil && p.program.name == "" {
		p.program.name = m[1]
		return p.parameter, nil
	}
	if !ptxDirective.MatchString(line) {
		return nil, fmt.Errorf("unknown directive")
	}
	return p.head, nil
}

func (p *ptxParser) parameter(line string) (ptxReader, error) {
	if line == ")" {
		return p.opening, nil
	}
	m := ptxParameter.FindStringSubmatch(line)
	if m == nil {
		return nil, fmt.Errorf("unknown parameter")
	}
	size := map[string]int{"u32": 4, "u64": 8}[m[1]]
	if size == 0 {
		size, _ = strconv.Atoi(m[3])
	}
	p.bytes = (p.bytes + size - 1) / size * size // every size here is its own alignment
	p.params[m[2]] = ptxParam{p.bytes, size}
	p.program.params = append(p.program.params, p.params[m[2]])
	p.bytes += size
	return p.parameter, nil
}

func (p *ptxParser) opening(line string) (ptxReader, error) {
	if line != "{" {
		return nil, fmt.Errorf("a body should begin")
	}
	return p.body, nil
}

func (p *ptxParser) body(line string) (ptxReader, error) {
	if line == "}" {
		return p.head, nil
	}
	if m := ptxRegisters.FindStringSubmatch(line); m != nil {
		class := map[string]byte{"pred%p": 'p', "b32%r": 'r', "b64%rd": 'd'}[m[1]+m[2]]
		count, err := strconv.Atoi(m[3])
		if class == 0 || err != nil || count > 1<<20 {
			return nil, fmt.Errorf("unknown registers")
		}
		p.classes[class] = struct{ first, count int }{p.program.registers, count}
		p.program.registers += count
		return p.body, nil
	}
	if m := ptxLabel.FindStringSubmatch(line); m != nil {
		p.labels[m[1]] = len(p.program.code)
		return p.body, nil
	}
	m := ptxLine.FindStringSubmatch(line)
	if m == nil {
		return nil, fmt.Errorf("unknown statement")
	}
	in, err := p.instruction(m[3], ptxOperands(m[4]))
	if err != nil {
		return nil, err
	}
	if in.guard, in.unless = -1, m[1] != ""; m[2] != "" {
		if in.guard, err = p.register(m[2], 'p'); err != nil {
			return nil, err
		}
	}
	p.program.code = append(p.program.code, in)
	return p.body, nil
}

// ptxOperands splits at commas outside of braces.
func ptxOperands(text string) (operands []string) {
	depth, start := 0, 0
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == ',' && depth == 0:
			if one := strings.TrimSpace(text[start:i]); one != "" {
				operands = append(operands, one)
			}
			start = i + 1
		case text[i] == '{':
			depth++
		case text[i] == '}':
			depth--
		}
	}
	return operands
}

func (p *ptxParser) instruction(name string, operands []string) (in ptxInstruction, err error) {
	if c, ok := ptxComputes[name]; ok {
		if len(operands) != len(c.registers) {
			return in, fmt.Errorf("%d operands, want %d", len(operands), len(c.registers))
		}
		in.kind, in.compute, in.to = ptxCompute, c.compute, make([]int, 1)
		if in.to[0], err = p.register(operands[0], c.registers[0]); err != nil {
			return in, err
		}
		for i, operand := range operands[1:] {
			if in.from[i], err = p.value(operand, c.registers[i+1]); err != nil {
				return in, err
			}
		}
		return in, nil
	}
	switch want := map[string]int{
		"ret": 0, "bra": 1, "bra.uni": 1, "st.global.u32": 2, "atom.global.add.u32": 3,
		"ld.param.u32": 2, "ld.param.u64": 2, "ld.param.v2.u32": 2, "ld.param.v4.u32": 2,
	}; {
	case want[name] != len(operands):
		return in, fmt.Errorf("unknown instruction")
	case name == "ret":
		in.kind = ptxReturn
	case name == "bra" || name == "bra.uni":
		in.kind, in.label = ptxBranch, operands[0]
	case name == "st.global.u32":
		in.kind = ptxStore
		if in.from[0], in.offset, err = p.address(operands[0]); err != nil {
			return in, err
		}
		in.from[1], err = p.value(operands[1], 'r')
	case name == "atom.global.add.u32":
		in.kind, in.to = ptxAtomicAdd, make([]int, 1)
		if in.to[0], err = p.register(operands[0], 'r'); err != nil {
			return in, err
		}
		if in.from[0], in.offset, err = p.address(operands[1]); err != nil {
			return in, err
		}
		in.from[1], err = p.value(operands[2], 'r')
	case strings.HasPrefix(name, "ld.param."):
		return p.load(name, operands)
	default:
		err = fmt.Errorf("unknown instruction")
	}
	return in, err
}

// load reads the instructions that load parameters.
func (p *ptxParser) load(name string, operands []string) (in ptxInstruction, err error) {
	in.kind, in.size = ptxLoadParam, 4
	class, count, to := byte('r'), 1, operands[:1]
	switch name {
	case "ld.param.u64":
		class, in.size = 'd', 8
	case "ld.param.v2.u32", "ld.param.v4.u32":
		count = int(name[len("ld.param.v")] - '0')
		to = ptxOperands(strings.Trim(operands[0], "{}"))
	}
	if len(to) != count {
		return in, fmt.Errorf("%d registers, want %d", len(to), count)
	}
	for _, one := range to {
		register, err := p.register(one, class)
		if err != nil {
			return in, err
		}
		in.to = append(in.to, register)
	}
	m := ptxAddress.FindStringSubmatch(operands[1])
	if m == nil {
		return in, fmt.Errorf("unknown address")
	}
	param, ok := p.params[m[1]]
	within, _ := strconv.Atoi("0" + m[2])
	if !ok || within+count*in.size > param.size || within%in.size != 0 {
		return in, fmt.Errorf("no such parameter")
	}
	in.offset = param.offset + within
	return in, nil
}

// address reads a register that holds an address, and what is added to it.
func (p *ptxParser) address(operand string) (register, offset int, err error) {
	m := ptxAddress.FindStringSubmatch(operand)
	if m == nil {
		return 0, 0, fmt.Errorf("unknown address")
	}
	offset, _ = strconv.Atoi("0" + m[2])
	register, err = p.register(m[1], 'd')
	return register, offset, err
}

// register returns which one of a class name is.
func (p *ptxParser) register(name string, class byte) (int, error) {
	prefix := map[byte]string{'p': "%p", 'r': "%r", 'd': "%rd"}[class]
	digits, ok := strings.CutPrefix(name, prefix)
	n, err := strconv.Atoi(digits)
	if c := p.classes[class]; ok && err == nil && n >= 0 && n < c.count {
		return c.first + n, nil
	}
	return 0, fmt.Errorf("%s is no register %s", name, prefix)
}

// value is register, or a number.
func (p *ptxParser) value(operand string, class byte) (int, error) {
	if at, ok := p.program.special[operand]; ok && class == 'r' {
		return at, nil
	}
	n, err := strconv.ParseInt(operand, 10, 64)
	if err != nil {
		return p.register(operand, class)
	}
	number := uint64(n)
	if class == 'r' {
		number = uint64(uint32(n))
	}
	at, ok := p.numbers[number]
	if !ok {
		if at = len(p.program.constants); at == cap(p.program.constants) {
			return 0, fmt.Errorf("too many numbers")
		}
		p.numbers[number], p.program.constants = at, append(p.program.constants, number)
	}
	return at, nil
}
