// The line editor. Every change draws the line anew: at 115200 baud that is not seen.

#include "monitor/line.h"

#include "lib/string.h"

#define CTRL(letter) ((letter)-0x40)
#define KEY_ESCAPE   0x1b
#define KEY_DELETE   0x7f
#define COLUMNS      79 // of a terminal; what is longer is shown in part

static void bell(struct line *line)
{
    print_to(line->to, "\a");
}

static size_t room_for_text(const struct line *line)
{
    return COLUMNS - strlen(line->prompt);
}

// The text may be longer than the terminal is wide: then the cursor moves in a window of it, which
// jumps by half of its width.
void line_redraw(struct line *line)
{
    size_t room = room_for_text(line), step = room / 2;
    size_t first = line->cursor < room ? 0 : (line->cursor - room) / step * step + step;
    size_t last = MIN(line->length, first + room);
    print_to(line->to, "\r\033[K%s%s%.*s", line->prompt, first ? "<" : "",
             (int)(last - first - (first > 0)), line->text + first + (first > 0));
    if (line->cursor < last)
        print_to(line->to, "\033[%luD", last - line->cursor);
}

void line_init(struct line *line, struct printer *to, const char *prompt, line_candidate *candidate,
               void *context)
{
    memset(line, 0, sizeof(*line));
    line->to = to;
    line->prompt = prompt;
    line->candidate = candidate;
    line->context = context;
}

void line_begin(struct line *line)
{
    line->text[0] = 0;
    line->length = line->cursor = 0;
    line->back = 0;
    line->has_refused = false;
    line_redraw(line);
}

// ---- editing ----

static void insert(struct line *line, char character)
{
    if (line->length + 1 == LINE_BYTES) {
        line->has_refused = true;
        bell(line);
        return;
    }
    memmove(line->text + line->cursor + 1, line->text + line->cursor,
            line->length - line->cursor + 1);
    line->text[line->cursor++] = character;
    line->length++;
    if (line->cursor == line->length && line->length < room_for_text(line))
        print_to(line->to, "%c", character);
    else
        line_redraw(line);
}

// Takes out text[from .. to).
static void erase(struct line *line, size_t from, size_t to)
{
    if (from == to)
        return;
    memmove(line->text + from, line->text + to, line->length - to + 1);
    line->length -= to - from;
    line->cursor = from;
    line->has_refused = false;
    line_redraw(line);
}

static size_t word_before(const struct line *line)
{
    size_t at = line->cursor;
    while (at > 0 && line->text[at - 1] == ' ')
        at--;
    while (at > 0 && line->text[at - 1] != ' ')
        at--;
    return at;
}

static void move(struct line *line, size_t to)
{
    line->cursor = MIN(to, line->length);
    line_redraw(line);
}

static void replace(struct line *line, const char *text)
{
    line->length = line->cursor = strlen(text);
    memcpy(line->text, text, line->length + 1);
    line->has_refused = false;
    line_redraw(line);
}

// ---- history ----

static char *history_entry(struct line *line, unsigned back)
{
    return line->history[(line->entered - back) % LINE_HISTORY];
}

static void remember(struct line *line)
{
    if (line->length == 0 || (line->entered > 0 && strcmp(history_entry(line, 1), line->text) == 0))
        return;
    memcpy(line->history[line->entered++ % LINE_HISTORY], line->text, line->length + 1);
}

static void recall(struct line *line, unsigned back)
{
    if (back > MIN(line->entered, LINE_HISTORY)) {
        bell(line);
        return;
    }
    if (line->back == 0)
        memcpy(line->draft, line->text, line->length + 1);
    line->back = back;
    replace(line, back ? history_entry(line, back) : line->draft);
}

// ---- completion ----

struct completion {
    const char *first; // a candidate that fits
    size_t common;     // how many letters all that fit share
    unsigned count;
};

static bool fits(const struct line *line, size_t word, const char *candidate)
{
    return strncmp(candidate, line->text + word, line->cursor - word) == 0;
}

static struct completion find(struct line *line, size_t word)
{
    struct completion found = {.count = 0};
    const char *candidate;
    for (unsigned i = 0; (candidate = line->candidate(line->context, line->text, line->cursor, i));
         i++) {
        if (!fits(line, word, candidate))
            continue;
        if (found.count++ == 0) {
            found.first = candidate;
            found.common = strlen(candidate);
        }
        size_t same = 0;
        while (same < found.common && candidate[same] == found.first[same])
            same++;
        found.common = same;
    }
    return found;
}

static void list(struct line *line, size_t word)
{
    const char *candidate;
    size_t column = 0;
    print_to(line->to, "\n");
    for (unsigned i = 0; (candidate = line->candidate(line->context, line->text, line->cursor, i));
         i++) {
        if (!fits(line, word, candidate))
            continue;
        if (column + strlen(candidate) + 2 > COLUMNS) {
            print_to(line->to, "\n");
            column = 0;
        }
        print_to(line->to, "%s  ", candidate);
        column += strlen(candidate) + 2;
    }
    print_to(line->to, "\n");
    line_redraw(line);
}

static void complete(struct line *line)
{
    size_t word = line->cursor;
    while (word > 0 && line->text[word - 1] != ' ')
        word--;
    struct completion found = {.count = 0};
    if (line->candidate)
        found = find(line, word);
    size_t typed = line->cursor - word;
    for (size_t i = typed; i < found.common; i++)
        insert(line, found.first[i]);
    if (found.count == 0)
        bell(line);
    else if (found.count == 1)
        insert(line, ' ');
    else if (found.common == typed)
        list(line, word);
}

// ---- keys ----

static enum line_event enter(struct line *line)
{
    if (line->has_refused) {
        print_to(line->to,
                 "\nThe line is longer than %u characters: shorten it, or clear it with Ctrl-U\n",
                 LINE_BYTES - 1);
        line_redraw(line);
        return LINE_EDITING;
    }
    print_to(line->to, "\n");
    remember(line);
    return LINE_READY;
}

static void control_key(struct line *line, uint8_t byte)
{
    switch (byte) {
    case CTRL('A'):
        move(line, 0);
        break;
    case CTRL('B'):
        move(line, line->cursor - (line->cursor > 0));
        break;
    case CTRL('C'):
        move(line, line->length);
        print_to(line->to, "^C\n");
        line_begin(line);
        break;
    case CTRL('D'):
        erase(line, line->cursor, MIN(line->cursor + 1, line->length));
        break;
    case CTRL('E'):
        move(line, line->length);
        break;
    case CTRL('F'):
        move(line, line->cursor + 1);
        break;
    case CTRL('H'):
    case KEY_DELETE:
        erase(line, line->cursor - (line->cursor > 0), line->cursor);
        break;
    case CTRL('I'):
        complete(line);
        break;
    case CTRL('K'):
        erase(line, line->cursor, line->length);
        break;
    case CTRL('L'):
        line_redraw(line);
        break;
    case CTRL('N'):
        if (line->back > 0)
            recall(line, line->back - 1);
        break;
    case CTRL('P'):
        recall(line, line->back + 1);
        break;
    case CTRL('U'):
        erase(line, 0, line->cursor);
        break;
    case CTRL('W'):
        erase(line, word_before(line), line->cursor);
        break;
    default:
        break;
    }
}

// The key of a whole escape sequence, "[A", "OA", "[3~", does what a control key does.
static void escape_key(struct line *line)
{
    static const struct {
        char last, number, same_as;
    } keys[] = {
        {'A', 0, CTRL('P')},   {'B', 0, CTRL('N')},   {'C', 0, CTRL('F')},   {'D', 0, CTRL('B')},
        {'H', 0, CTRL('A')},   {'~', '1', CTRL('A')}, {'~', '7', CTRL('A')}, {'F', 0, CTRL('E')},
        {'~', '4', CTRL('E')}, {'~', '8', CTRL('E')}, {'~', '3', CTRL('D')},
    };
    char last = line->escape[line->escape_length - 1];
    char number = last == '~' && line->escape_length == 4 ? line->escape[2] : 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(keys); i++)
        if (keys[i].last == last && keys[i].number == number)
            control_key(line, (uint8_t)keys[i].same_as);
}

// A sequence goes on until its final byte; one that is too long is swallowed.
static void escape_byte(struct line *line, uint8_t byte)
{
    if (byte == KEY_ESCAPE)
        line->escape_length = 0;
    if (line->escape_length < LINE_ESCAPE)
        line->escape[line->escape_length++] = (char)byte;
    if (line->escape_length == 1 || (line->escape_length == 2 && (byte == '[' || byte == 'O')))
        return;
    if (byte >= 0x40 || byte < 0x20 || line->escape_length == 2) {
        if (line->escape_length > 2 && line->escape_length < LINE_ESCAPE)
            escape_key(line);
        line->escape_length = 0;
    }
}

enum line_event line_type(struct line *line, uint8_t byte)
{
    bool follows_cr = line->is_ended_by_cr;
    line->is_ended_by_cr = byte == '\r';
    if (byte == '\n' && follows_cr)
        return LINE_EDITING;
    if (byte == KEY_ESCAPE || line->escape_length > 0) {
        escape_byte(line, byte);
        return LINE_EDITING;
    }
    if (byte == '\r' || byte == '\n')
        return enter(line);
    if (byte < 0x20 || byte == KEY_DELETE)
        control_key(line, byte);
    else if (byte < 0x80)
        insert(line, (char)byte);
    else
        bell(line);
    return LINE_EDITING;
}
