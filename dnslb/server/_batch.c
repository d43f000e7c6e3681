/*
 * The batch of dnslb/server/batch.py and the fast way of dnslb/answer/responder.py once more, in C.
 *
 * Why it exists: a query from the table costs pure Python 1.3 to 1.6 us of its own beside 3.3 us of the kernel's, and
 * the best servers in C need 3.5 to 4.2 us in all. Nothing done in Python could take that away; here it is 0.1 to
 * 0.3 us. What it costs: this file, and a compiler where it is wanted. It is optional; without it everything works the
 * same.
 *
 * The rule: Python is the definition. For the same datagrams both send the same octets, take the same turns and count
 * the same, which tests/fuzz/engines.py holds them to. So this file knows only what resolvers send all day: one
 * question that is in the table of whole questions, or is denied without a second thought; no OPT record, or a bare
 * one, or one that is known for its cookie; an answer that fits; a client that has a turn already and is not watched.
 * All else, and whatever looks odd here, goes to Python, before anything was changed. Nothing is kept from one batch to
 * the next but memory: tables come with each call.
 *
 * The limited API of Python 3.11 makes one shared object for all versions from then on. It has functions where others
 * have macros, each a nanosecond or two. The GIL is kept: neither receiving nor sending waits, and a worker's one other
 * thread, which decodes a large table now and then, has its turns all the same.
 */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum {
    AGREED = 2,                 /* see dnslb/server/engine.py */
    SIZE = 64,                  /* datagrams in a batch */
    HEADER = 12,
    BEHIND_LABELS = 5,          /* octets of a question from the root label on */
    MAX_QUERY = 4096,
    IN = MAX_QUERY + 8,         /* a longer datagram is cut, and still seen to be too long */
    IN_STRIDE = MAX_QUERY + 64, /* one more line of the cache: else all begin in the same few sets of it */
    CLASSIC_PAYLOAD = 512,
    OUR_PAYLOAD = 1232,         /* no response over UDP is longer */
    BARE_SIZE = 11,             /* octets of an OPT record without options */
    CONTROL = 64,               /* room for an IPV6_PKTINFO message (40) */
    V4_NETWORK = 3,             /* octets of an address that say whose it is (answer/sources.py) */
    V6_NETWORK = 7,
    TAIL = 4,                   /* octets of a question behind the name */
    MAX_NAME = 255,
    MAX_LABEL = 63,
    AA = 0x84,                  /* and QR: the first octet of the flags of each response */
    RD = 0x01,
    CD = 0x10,
    NXDOMAIN = 3,
};

/* Places in the named tuples of Python: Rotation and Variant of answer/snapshot.py, Edns of wire/edns.py, Reply. */
enum { KEY, TALLY, RING, ADDITIONAL, BY_SOURCE, VIEWS, MISSING, NOTICE };
enum { COUNTS, COUNTS_WITH_OPT, ANSWER };
enum { LIMIT, OPT };
enum { RESPONSE, SLOT };
enum { NODATA_SLOT, NXDOMAIN_SLOT };

/* What is read of a CompiledZone of answer/snapshot.py. */
enum { PLAIN, EMPTY, CUTS, SOA, FIELDS };
static const char *const field_names[FIELDS] = {"plain", "empty", "cuts", "soa"};

typedef struct {
    const unsigned char *at;
    Py_ssize_t size;
} Octets;

typedef union {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} Name;

typedef union {
    size_t align; /* as a cmsghdr has to be */
    unsigned char octets[CONTROL];
} Control;

typedef struct {
    PyObject_HEAD
    int fd;
    bool v6;
    bool busy;           /* Python code runs for a datagram: it must not change the batch meanwhile */
    Py_buffer counters;
    PyObject *fields[FIELDS];
    uint64_t *internal;  /* the slot of what a fault of ours left without an answer */
    uint64_t *unsent;    /* that of responses that the kernel did not take */
    int number;          /* datagrams received last */
    int answered;        /* responses that wait to be sent */
    unsigned char *free; /* where the next response goes */
    struct mmsghdr in[SIZE], out[SIZE];
    struct iovec in_vectors[SIZE], out_vectors[SIZE];
    Name names[SIZE];
    Control controls[SIZE];
    unsigned char queries[SIZE][IN_STRIDE];
    unsigned char responses[SIZE * OUR_PAYLOAD]; /* one behind the other: few lines of the cache for short ones */
} Batch;

/* What a batch is answered from, borrowed from the caller for as long as the call lasts. */
typedef struct {
    PyObject *ready, *taken, *known, *respond, *watched;
    PyObject *names, *zones, *deniable; /* NULL: nothing is denied here */
} Tables;

/* What a query asks for with its OPT record. `owner` is what keeps the octets alive, if it is anything. */
typedef struct {
    Py_ssize_t limit;
    Octets opt;
    PyObject *owner;
} Edns;

/* Octets */

static Octets query_at(const Batch *self, int place)
{
    Py_ssize_t size = self->in[place].msg_len;
    return (Octets){self->queries[place], size < IN ? size : IN};
}

static Octets client_at(const Batch *self, int place)
{
    const Name *name = &self->names[place];
    if (self->v6)
        return (Octets){(const unsigned char *)&name->v6.sin6_addr, 16};
    return (Octets){(const unsigned char *)&name->v4.sin_addr, 4};
}

static PyObject *bytes_of(Octets octets)
{
    return PyBytes_FromStringAndSize((const char *)octets.at, octets.size);
}

/* Returns false with an exception for what is not bytes. The octets live as long as the object. */
static bool octets_of(PyObject *bytes, Octets *octets)
{
    char *at;
    if (bytes == NULL || PyBytes_AsStringAndSize(bytes, &at, &octets->size) < 0)
        return false;
    octets->at = (const unsigned char *)at;
    return true;
}

static PyObject *joined(Octets first, Octets second)
{
    PyObject *both = PyBytes_FromStringAndSize(NULL, first.size + second.size);
    char *at = both == NULL ? NULL : PyBytes_AsString(both);
    if (at == NULL)
        return NULL;
    memcpy(at, first.at, (size_t)first.size);
    memcpy(at + first.size, second.at, (size_t)second.size);
    return both;
}

static PyObject *lowered(Octets octets)
{
    PyObject *lower = PyBytes_FromStringAndSize(NULL, octets.size);
    char *at = lower == NULL ? NULL : PyBytes_AsString(lower);
    if (at == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < octets.size; i++) {
        unsigned char octet = octets.at[i];
        at[i] = (char)(octet >= 'A' && octet <= 'Z' ? octet | 0x20 : octet);
    }
    return lower;
}

static unsigned char *put(unsigned char *at, Octets octets)
{
    memcpy(at, octets.at, (size_t)octets.size);
    return at + octets.size;
}

/* Looks a key up. Returns a new reference, or NULL with an exception or without. */
static PyObject *found(PyObject *dict, PyObject *key)
{
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(dict, key);
    Py_XINCREF(value);
    return value;
}

/* The same with a key that is given away. */
static PyObject *found_by(PyObject *dict, PyObject *key)
{
    PyObject *value = found(dict, key);
    Py_XDECREF(key);
    return value;
}

/* Counting, and what waits to be sent */

/* Returns where to count, NULL with an exception if there is no such slot. Nobody else writes there. */
static uint64_t *counter_at(Batch *self, PyObject *slot)
{
    Py_ssize_t number = PyLong_AsSsize_t(slot);
    if (number >= 0 && number < self->counters.len / (Py_ssize_t)sizeof(uint64_t))
        return (uint64_t *)self->counters.buf + number;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_IndexError, "there is no such slot to count in");
    return NULL;
}

/* Have the octets at `free` sent to where the datagram came from, by the address that it was sent to. */
static void enqueue(Batch *self, int place, size_t size)
{
    struct msghdr *header = &self->out[self->answered].msg_hdr;
    const struct msghdr *came = &self->in[place].msg_hdr;
    self->out_vectors[self->answered] = (struct iovec){self->free, size};
    header->msg_name = &self->names[place];
    header->msg_control = came->msg_control;
    header->msg_controllen = came->msg_control == NULL ? 0 : came->msg_controllen;
    self->answered++;
    self->free += size;
}

/*
 * Send all that waits, unless there was an exception. What the kernel refuses is left out. Where it has no room, it has
 * none for the others either, and an interface that is stuck must not stop the answers to all others.
 */
static PyObject *send_all(Batch *self, bool done)
{
    int first = 0;
    self->busy = false;
    if (!done)
        return NULL;
    while (first < self->answered) {
        int sent = sendmmsg(self->fd, self->out + first, (unsigned int)(self->answered - first), MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0) {
            int lost = errno == EAGAIN || errno == ENOBUFS ? self->answered - first : 1;
            *self->unsent += (uint64_t)lost;
            sent = lost;
        }
        first += sent;
    }
    Py_RETURN_NONE;
}

/* Returns false with an exception while the batch is being answered. */
static bool is_free(const Batch *self)
{
    if (self->busy)
        PyErr_SetString(PyExc_RuntimeError, "the batch is being answered");
    return !self->busy;
}

static bool begin(Batch *self)
{
    if (!is_free(self))
        return false;
    self->busy = true;
    self->answered = 0;
    self->free = self->responses;
    return true;
}

/* The fast way: these return false for what is not theirs, perhaps with an exception. */

/* A query's OPT record: none, a bare one of version 0 with no flag but DO, or one that is known for its cookie. */
static bool read_edns(const Tables *tables, Octets client, Octets record, bool additional, Edns *edns)
{
    static const unsigned char ours[2][BARE_SIZE] = {
        {0, 0, 41, OUR_PAYLOAD >> 8, OUR_PAYLOAD & 0xff},
        {0, 0, 41, OUR_PAYLOAD >> 8, OUR_PAYLOAD & 0xff, 0, 0, 0x80},
    };
    const unsigned char *at = record.at;
    if (!additional) {
        edns->limit = CLASSIC_PAYLOAD;
        return record.size == 0;
    }
    if (record.size == BARE_SIZE && !memcmp(at, ours[0], 3) && !(at[7] & 0x7f)) {
        Py_ssize_t payload = at[3] << 8 | at[4];
        edns->limit = payload < CLASSIC_PAYLOAD ? CLASSIC_PAYLOAD : payload > OUR_PAYLOAD ? OUR_PAYLOAD : payload;
        edns->opt = (Octets){ours[at[7] >> 7], BARE_SIZE};
        return !(at[5] | at[6] | at[8] | at[9] | at[10]);
    }
    edns->owner = found_by(tables->known, joined(client, record));
    if (edns->owner == NULL || !octets_of(PyTuple_GetItem(edns->owner, OPT), &edns->opt))
        return false;
    edns->limit = PyLong_AsSsize_t(PyTuple_GetItem(edns->owner, LIMIT));
    return edns->limit >= 0 && edns->limit <= OUR_PAYLOAD;
}

/* Whether all clients get the same of a rotation, and nothing with it. */
static bool is_for_all(PyObject *rotation)
{
    Octets notice;
    return PyTuple_GetItem(rotation, VIEWS) == Py_None && PyTuple_GetItem(rotation, BY_SOURCE) == Py_False &&
           octets_of(PyTuple_GetItem(rotation, NOTICE), &notice) && notice.size == 0;
}

static unsigned char *put_head(unsigned char *at, const unsigned char *query, unsigned char rcode)
{
    *at++ = query[0];
    *at++ = query[1];
    *at++ = AA | (query[2] & RD);
    *at++ = (query[3] & CD) | rcode;
    return at;
}

/* Read of one variant the section counts, and the answer section. */
static bool read_variant(PyObject *ring, Py_ssize_t turn, const Edns *edns, Octets *counts, Octets *answer)
{
    PyObject *variant = PyTuple_GetItem(ring, turn);
    return variant != NULL && octets_of(PyTuple_GetItem(variant, edns->opt.size ? COUNTS_WITH_OPT : COUNTS), counts) &&
           counts->size == HEADER - 4 && octets_of(PyTuple_GetItem(variant, ANSWER), answer);
}

/* Write the response with one variant at `free`, unless it is longer than the client takes. */
static bool write_response(Batch *self, int place, Octets question, PyObject *ring, Py_ssize_t turn, Octets additional,
                           const Edns *edns, size_t *size)
{
    Octets counts, answer;
    if (!read_variant(ring, turn, edns, &counts, &answer))
        return false;
    /* Each is an object in memory: their sum cannot be too large for the type. */
    if (HEADER + question.size + answer.size + additional.size + edns->opt.size > edns->limit)
        return false;
    unsigned char *at = put(put_head(self->free, self->queries[place], 0), counts);
    at = put(put(put(put(at, question), answer), additional), edns->opt);
    *size = (size_t)(at - self->free);
    return true;
}

/* Write the variant whose turn it is. A client that has none yet, or would get too long a response, is Python's. */
static bool write_in_turn(Batch *self, const Tables *tables, int place, Octets question, PyObject *rotation,
                          const Edns *edns, size_t *size)
{
    PyObject *ring = PyTuple_GetItem(rotation, RING), *owner = NULL, *value = NULL, *next = NULL;
    Py_ssize_t length = ring == NULL ? -1 : PyTuple_Size(ring);
    Octets key, additional;
    bool done = false;
    if (length < 1 || !octets_of(PyTuple_GetItem(rotation, ADDITIONAL), &additional))
        return false;
    if (length == 1)
        return write_response(self, place, question, ring, 0, additional, edns, size);
    if (!octets_of(PyTuple_GetItem(rotation, KEY), &key))
        return false;
    owner = joined(client_at(self, place), key);
    if (owner == NULL)
        return false;
    value = PyDict_GetItemWithError(tables->taken, owner);
    Py_ssize_t turn = value == NULL ? -1 : PyLong_AsSsize_t(value);
    if (turn >= 0 && turn < PY_SSIZE_T_MAX &&
        write_response(self, place, question, ring, turn % length, additional, edns, size)) {
        next = PyLong_FromSsize_t(turn + 1);
        done = next != NULL && PyDict_SetItem(tables->taken, owner, next) == 0;
        Py_XDECREF(next);
    }
    Py_DECREF(owner);
    return done;
}

/* Denial: as `_deny_at_once` of the responder does it */

/* Whether a question for data that is not there simply gets none: so it is unless its name has that, or is an alias. */
static bool is_without(const Tables *tables, PyObject *qname, Octets tail, bool *exists)
{
    static const unsigned char alias[TAIL] = {0, 5, 0, 1};
    PyObject *answers = found(tables->names, qname), *one = NULL, *other = NULL;
    bool without = answers == NULL && !PyErr_Occurred();
    *exists = answers != NULL;
    if (answers != NULL && PyDict_Check(answers)) {
        one = bytes_of(tail);
        other = bytes_of((Octets){alias, TAIL});
        without = one != NULL && other != NULL && PyDict_Contains(answers, one) == 0 &&
                  PyDict_Contains(answers, other) == 0;
    }
    Py_XDECREF(answers);
    Py_XDECREF(one);
    Py_XDECREF(other);
    return without;
}

/* Returns the zone that a name is in, and where its apex begins. Label by label up to there: so the whole is a name. */
static PyObject *zone_of(const Tables *tables, Octets qname, Octets *apex)
{
    for (*apex = qname; apex->size > 0;) {
        PyObject *zone = found_by(tables->zones, bytes_of(*apex));
        Py_ssize_t length = apex->at[0];
        if (zone != NULL || PyErr_Occurred() || length < 1 || length > MAX_LABEL || length >= apex->size)
            return zone;
        apex->at += length + 1;
        apex->size -= length + 1;
    }
    return NULL;
}

/* Whether a field of the zone has the name: 1, 0, or -1 with an exception. */
static int is_in(const Batch *self, PyObject *zone, int field, PyObject *qname)
{
    PyObject *names = PyObject_GetAttr(zone, self->fields[field]);
    int result = names == NULL ? -1 : PySequence_Contains(names, qname);
    Py_XDECREF(names);
    return result;
}

static bool is_plain(const Batch *self, PyObject *zone)
{
    PyObject *plain = PyObject_GetAttr(zone, self->fields[PLAIN]);
    Py_XDECREF(plain); /* True and False live on */
    return plain == Py_True;
}

/* Returns the response code of a denial, -1 for what takes a second thought. */
static int rcode_of(const Batch *self, PyObject *zone, PyObject *qname, Py_ssize_t size, bool exists)
{
    int empty = exists ? 1 : is_in(self, zone, EMPTY, qname);
    if (empty == 0)
        return is_plain(self, zone) && size <= MAX_NAME ? NXDOMAIN : -1;
    return empty == 1 && is_in(self, zone, CUTS, qname) == 0 ? 0 : -1;
}

/* Write the zone's SOA record, each hole of it a pointer to the apex. Returns its end, NULL if it does not fit. */
static unsigned char *put_soa(unsigned char *at, const unsigned char *end, PyObject *soa, Py_ssize_t apex)
{
    Py_ssize_t pieces = PyTuple_Size(soa);
    for (Py_ssize_t i = 0; i < pieces; i++) {
        Octets piece;
        if (!octets_of(PyTuple_GetItem(soa, i), &piece) || piece.size + 2 > end - at)
            return NULL;
        if (i > 0) {
            *at++ = (unsigned char)(0xc0 | apex >> 8);
            *at++ = (unsigned char)apex;
        }
        at = put(at, piece);
    }
    return pieces > 0 ? at : NULL;
}

static bool write_denial(Batch *self, int place, Octets question, PyObject *zone, Py_ssize_t apex, int rcode,
                         const Edns *edns, size_t *size)
{
    const unsigned char counts[HEADER - 4] = {0, 1, 0, 0, 0, 1, 0, edns->opt.size > 0};
    /* The SOA record is measured as it is written, so what stands before and behind it has to fit first. */
    if (HEADER + question.size + edns->opt.size > edns->limit)
        return false;
    const unsigned char *end = self->free + edns->limit - edns->opt.size;
    unsigned char *at = put_head(self->free, self->queries[place], (unsigned char)rcode);
    at = put(put(at, (Octets){counts, HEADER - 4}), question);
    PyObject *soa = PyObject_GetAttr(zone, self->fields[SOA]);
    at = soa == NULL ? NULL : put_soa(at, end, soa, apex);
    Py_XDECREF(soa);
    if (at == NULL)
        return false;
    *size = (size_t)(put(at, edns->opt) - self->free);
    return true;
}

/* Write NODATA, or NXDOMAIN in a plain zone. Returns where to count it, NULL for what is not that simple. */
static uint64_t *deny(Batch *self, const Tables *tables, int place, Octets question, PyObject *lower, const Edns *edns,
                      size_t *size)
{
    Octets low, apex, tail = {question.at + question.size - TAIL, TAIL};
    PyObject *slots = found_by(tables->deniable, bytes_of(tail)), *qname = NULL, *zone = NULL;
    uint64_t *counter = NULL;
    bool exists;
    if (slots == NULL || !octets_of(lower, &low))
        goto done;
    low.size -= TAIL;
    qname = bytes_of(low);
    if (qname == NULL || !is_without(tables, qname, tail, &exists) || (zone = zone_of(tables, low, &apex)) == NULL)
        goto done;
    int rcode = rcode_of(self, zone, qname, low.size, exists);
    if (rcode >= 0 && write_denial(self, place, question, zone, HEADER + low.size - apex.size, rcode, edns, size))
        counter = counter_at(self, PyTuple_GetItem(slots, rcode == NXDOMAIN ? NXDOMAIN_SLOT : NODATA_SLOT));
done:
    Py_XDECREF(slots);
    Py_XDECREF(qname);
    Py_XDECREF(zone);
    return counter;
}

/* One question, its first zero octet the root label, and one additional record at most; the query is standard. */
static bool read_question(Octets query, Octets *question, Octets *record)
{
    static const unsigned char counts[7] = {0, 1, 0, 0, 0, 0, 0};
    const unsigned char *at = query.at;
    if (query.size <= HEADER || (at[2] & 0xf8) || memcmp(at + 4, counts, sizeof counts) || at[11] > 1)
        return false;
    const unsigned char *root = memchr(at + HEADER, 0, (size_t)(query.size - HEADER));
    Py_ssize_t end = root == NULL ? query.size + 1 : root - at + BEHIND_LABELS;
    if (end > query.size)
        return false;
    *question = (Octets){at + HEADER, end - HEADER};
    *record = (Octets){at + end, query.size - end};
    return true;
}

/* Write the response to a question that is in the table, or to one that is denied. Returns where to count it. */
static uint64_t *look_up(Batch *self, const Tables *tables, int place, Octets question, const Edns *edns, size_t *size)
{
    PyObject *lower = lowered(question), *rotation = found(tables->ready, lower);
    uint64_t *counter = NULL;
    if (rotation != NULL && is_for_all(rotation)) {
        counter = counter_at(self, PyTuple_GetItem(rotation, TALLY));
        if (counter != NULL && !write_in_turn(self, tables, place, question, rotation, edns, size))
            counter = NULL;
    } else if (rotation == NULL && tables->deniable != NULL && !PyErr_Occurred()) {
        counter = deny(self, tables, place, question, lower, edns, size);
    }
    Py_XDECREF(rotation);
    Py_XDECREF(lower);
    return counter;
}

/* Answer a datagram if it is one of those; return whether. Nothing has changed if it is not. */
static bool answer_fast(Batch *self, const Tables *tables, int place)
{
    Octets query = query_at(self, place), question, record;
    Edns edns = {0, {(const unsigned char *)"", 0}, NULL};
    uint64_t *counter = NULL;
    size_t size = 0;
    if (!read_question(query, &question, &record))
        return false;
    if (read_edns(tables, client_at(self, place), record, query.at[HEADER - 1], &edns))
        counter = look_up(self, tables, place, question, &edns, &size);
    Py_XDECREF(edns.owner);
    if (counter == NULL) {
        PyErr_Clear(); /* Python finds whatever is wrong, and tells of it */
        return false;
    }
    ++*counter;
    enqueue(self, place, size);
    return true;
}

/* The long way */

/* Have a response sent to where the datagram came from. None is none; one longer than any may be is refused. */
static bool enqueue_object(Batch *self, int place, PyObject *response)
{
    Octets octets = {NULL, 0};
    if (response == Py_None)
        return true;
    if (!octets_of(response, &octets))
        return false;
    if (octets.size > OUR_PAYLOAD) {
        PyErr_SetString(PyExc_ValueError, "the response is too long");
        return false;
    }
    put(self->free, octets);
    enqueue(self, place, (size_t)octets.size);
    return true;
}

/* Have Python answer a datagram: respond(query, client) -> (response, slot). */
static bool answer_slow(Batch *self, const Tables *tables, int place)
{
    PyObject *query = bytes_of(query_at(self, place)), *client = bytes_of(client_at(self, place)), *reply = NULL;
    uint64_t *counter = NULL;
    if (query != NULL && client != NULL)
        reply = PyObject_CallFunctionObjArgs(tables->respond, query, client, NULL);
    if (reply != NULL)
        counter = counter_at(self, PyTuple_GetItem(reply, SLOT));
    bool done = counter != NULL && enqueue_object(self, place, PyTuple_GetItem(reply, RESPONSE));
    if (done)
        ++*counter;
    Py_XDECREF(reply);
    Py_XDECREF(client);
    Py_XDECREF(query);
    return done;
}

/* Whether Python has to see what the client gets: its network may have had enough. */
static bool is_watched(const Batch *self, const Tables *tables, int place)
{
    if (tables->watched == NULL || PyDict_Size(tables->watched) == 0)
        return false;
    Octets client = client_at(self, place);
    PyObject *network = bytes_of((Octets){client.at, self->v6 ? V6_NETWORK : V4_NETWORK});
    int found = network == NULL ? -1 : PyDict_Contains(tables->watched, network);
    Py_XDECREF(network);
    if (found < 0)
        PyErr_Clear(); /* Python finds whatever is wrong, and tells of it */
    return found != 0;
}

/* After a fault that costs one message and no more; false for what ends the process. */
static bool go_on(Batch *self)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return false;
    PyErr_Clear();
    ++*self->internal;
    return true;
}

/* Methods */

static PyObject *batch_receive(PyObject *object, PyObject *Py_UNUSED(none))
{
    Batch *self = (Batch *)object;
    if (!is_free(self))
        return NULL;
    for (int i = 0; i < self->number; i++) {
        /* The kernel has written there how much of it there is. */
        self->in[i].msg_hdr.msg_namelen = sizeof(Name);
        self->in[i].msg_hdr.msg_controllen = self->in[i].msg_hdr.msg_control == NULL ? 0 : CONTROL;
    }
    int number = recvmmsg(self->fd, self->in, SIZE, MSG_DONTWAIT, NULL);
    self->number = number > 0 ? number : 0;
    for (int i = 0; i < self->number && !self->v6; i++) {
        /* Answers go out by whichever interface the routing table says. */
        struct cmsghdr *control = CMSG_FIRSTHDR(&self->in[i].msg_hdr);
        if (control != NULL && control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO)
            memset(CMSG_DATA(control), 0, sizeof(int));
    }
    return PyLong_FromLong(self->number);
}

/* Returns whether a datagram is at the place; sets an exception if not. */
static bool is_place(const Batch *self, long place)
{
    if (place >= 0 && place < self->number)
        return true;
    PyErr_SetString(PyExc_IndexError, "no datagram is there");
    return false;
}

static PyObject *batch_client(PyObject *object, PyObject *argument)
{
    Batch *self = (Batch *)object;
    long place = PyLong_AsLong(argument);
    if (PyErr_Occurred() || !is_place(self, place))
        return NULL;
    return bytes_of(client_at(self, (int)place));
}

static PyObject *list_of(const Batch *self, Octets (*at)(const Batch *, int))
{
    PyObject *list = PyList_New(self->number);
    for (int i = 0; list != NULL && i < self->number; i++) {
        PyObject *bytes = bytes_of(at(self, i));
        if (bytes == NULL || PyList_SetItem(list, i, bytes) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *batch_datagrams(PyObject *object, PyObject *Py_UNUSED(none))
{
    PyObject *queries = list_of((Batch *)object, query_at), *clients = list_of((Batch *)object, client_at);
    PyObject *both = queries != NULL && clients != NULL ? PyTuple_Pack(2, queries, clients) : NULL;
    Py_XDECREF(queries);
    Py_XDECREF(clients);
    return both;
}

static PyObject *batch_send(PyObject *object, PyObject *responses)
{
    Batch *self = (Batch *)object;
    bool done = begin(self);
    if (!done)
        return NULL;
    for (int i = 0; i < self->number && done; i++) {
        PyObject *response = PySequence_GetItem(responses, i);
        done = response != NULL && enqueue_object(self, i, response);
        Py_XDECREF(response);
    }
    return send_all(self, done);
}

static PyObject *batch_answer(PyObject *object, PyObject *arguments)
{
    Batch *self = (Batch *)object;
    Tables tables = {0};
    if (!PyArg_ParseTuple(arguments, "O!O!O!O|O!(O!O!O!)", &PyDict_Type, &tables.ready, &PyDict_Type, &tables.taken,
                          &PyDict_Type, &tables.known, &tables.respond, &PyDict_Type, &tables.watched, &PyDict_Type,
                          &tables.names, &PyDict_Type, &tables.zones, &PyDict_Type, &tables.deniable) || !begin(self))
        return NULL;
    bool done = true;
    for (int i = 0; i < self->number && done; i++)
        done = (!is_watched(self, &tables, i) && answer_fast(self, &tables, i)) || answer_slow(self, &tables, i) ||
               go_on(self);
    return send_all(self, done);
}

/* The type and the module */

static void wire_up(Batch *self, bool wildcard)
{
    for (int i = 0; i < SIZE; i++) {
        struct msghdr *in = &self->in[i].msg_hdr, *out = &self->out[i].msg_hdr;
        self->in_vectors[i] = (struct iovec){self->queries[i], IN};
        in->msg_name = &self->names[i];
        in->msg_namelen = sizeof(Name);
        in->msg_iov = &self->in_vectors[i];
        out->msg_namelen = self->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        out->msg_iov = &self->out_vectors[i];
        in->msg_iovlen = out->msg_iovlen = 1;
        if (wildcard) {
            in->msg_control = &self->controls[i];
            in->msg_controllen = CONTROL;
        }
    }
}

/* The memory comes as zeros, which is what is not set here. */
static PyObject *batch_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"fd", "v6", "wildcard", "counters", "internal", "unsent", NULL};
    int fd, v6, wildcard;
    PyObject *counters, *internal, *unsent;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "ippOOO", names, &fd, &v6, &wildcard, &counters, &internal,
                                     &unsent))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Batch *self = (Batch *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->fd = fd;
    self->v6 = v6;
    wire_up(self, wildcard);
    bool done = PyObject_GetBuffer(counters, &self->counters, PyBUF_WRITABLE) == 0;
    if (done)
        self->internal = counter_at(self, internal);
    done = done && self->internal != NULL && (self->unsent = counter_at(self, unsent)) != NULL;
    for (int i = 0; i < FIELDS && done; i++)
        done = (self->fields[i] = PyUnicode_InternFromString(field_names[i])) != NULL;
    if (!done)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void batch_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    PyBuffer_Release(&((Batch *)object)->counters);
    for (int i = 0; i < FIELDS; i++)
        Py_XDECREF(((Batch *)object)->fields[i]);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"receive", batch_receive, METH_NOARGS, "Take what is waiting, without blocking; return how many datagrams."},
    {"client", batch_client, METH_O, "Return the address of who has sent the datagram at a place."},
    {"datagrams", batch_datagrams, METH_NOARGS, "Return the datagrams, and their senders' addresses."},
    {"send", batch_send, METH_O, "Answer the datagrams, each at its place; None sends nothing back."},
    {"answer", batch_answer, METH_VARARGS, "Answer the datagrams from tables, or by a function, and count them."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The buffers of one UDP socket, and the fast way to an answer."},
    {Py_tp_new, batch_new},
    {Py_tp_dealloc, batch_dealloc},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {"dnslb.server._batch.Batch", sizeof(Batch), 0, Py_TPFLAGS_DEFAULT, slots};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int failed = type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0 ||
                 PyModule_AddIntConstant(module, "AGREED", AGREED) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "dnslb.server._batch",
    .m_doc = "Answers a batch of datagrams: see the head of _batch.c.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__batch(void)
{
    return PyModuleDef_Init(&module);
}
