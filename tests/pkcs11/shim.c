/* A PKCS#11 module in front of SoftHSM2 that can be told to be an unruly one, by files in PLACE:
 *
 *   slow            seconds that each piece of work takes
 *   removed         the token is away
 *   before-NAME     "RV N": C_NAME answers RV (hexadecimal) instead of being done; N times, 0 for ever
 *   after-NAME      the same, but it is done
 *   lacks           mechanisms that it does not list, hexadecimal
 *   flags           flags of the token's besides its own, hexadecimal
 *   logged-out      the token logs its user out before the next search, once
 *   hidden          the label of objects that no search by label finds
 *   slots           how far the numbers of slots are moved
 *   renumber        handles of objects begin anew at the next login, once
 *   die             a byte for each key to be made or wrapped before the process ends, once
 *
 * It keeps count: "called-NAME" grows by a byte a call, "sessions" by + and - as they open and close. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ul;
/* CK_FUNCTION_LIST of version 2.40: a version, then the functions in the order of the standard. */
struct list { unsigned char version[2]; void *fn[68]; };
struct attribute { ul type; void *value; ul len; };
enum { GetFunctionList = 3, GetSlotList, GetSlotInfo, GetTokenInfo, GetMechanismList,
       OpenSession = 12, CloseSession = 13, GetSessionInfo = 15, Login = 18, Logout,
       CreateObject, DestroyObject = 22, GetAttributeValue = 24, FindObjectsInit = 26, FindObjects,
       EncryptInit = 29, Encrypt, DecryptInit = 33, Decrypt, SignInit = 42, Sign,
       GenerateKey = 58, WrapKey = 60, UnwrapKey };
enum { DEVICE_REMOVED = 0x32, TOKEN_NOT_PRESENT = 0xE0, LABEL = 3, OFFSET_OF_FLAGS = 96 };

static struct list real, ours;

static int open_file(const char *name, int flags)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", PLACE, name);
    return open(path, flags | O_CLOEXEC, 0600);
}

static void forget(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", PLACE, name);
    unlink(path);
}

/* What a file says; an empty text when there is none. */
static const char *told(const char *name, char *text, size_t size)
{
    int fd = open_file(name, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    text[n > 0 ? n : 0] = 0;
    if (fd >= 0) close(fd);
    return text;
}

static int is_told(const char *name)
{
    int fd = open_file(name, O_RDONLY);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static ul number(const char *name, int base)
{
    char text[32];
    return strtoul(told(name, text, sizeof text), 0, base);
}

static void put(const char *name, int flags, const char *what)
{
    int fd = open_file(name, O_WRONLY | O_CREAT | flags);
    if (fd < 0) return;
    if (write(fd, what, strlen(what)) != (ssize_t)strlen(what)) abort();
    close(fd);
}

static ul answer(const char *when, const char *name)
{
    char file[64], text[32];
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    ul rv = 0, left = 0;
    snprintf(file, sizeof file, "%s-%s", when, name);
    pthread_mutex_lock(&one_at_a_time);
    if (sscanf(told(file, text, sizeof text), "%lx %lu", &rv, &left) != 2) rv = 0;
    snprintf(text, sizeof text, "%lx %lu", rv, left - 1);
    if (left == 1) forget(file);
    if (left > 1) put(file, O_TRUNC, text);
    pthread_mutex_unlock(&one_at_a_time);
    return rv;
}

/* SoftHSM2 does not survive a kill at any moment, so processes are ended between its calls. */
static void die_in_time(void)
{
    char left[64];
    if (!is_told("die")) return;
    size_t n = strlen(told("die", left, sizeof left));
    if (!n) {
        forget("die");
        _exit(137);
    }
    left[n - 1] = 0;
    put("die", O_TRUNC, left);
}

static void take_time(void)
{
    sleep((unsigned)number("slow", 10));
    die_in_time();
}

/* Objects by their handles here, from 1 on, in the order in which they were seen. */
static ul objects[1 << 16], seen;
static pthread_mutex_t of_objects = PTHREAD_MUTEX_INITIALIZER;

static ul outward(ul object)
{
    pthread_mutex_lock(&of_objects);
    ul handle = 1;
    while (handle <= seen && objects[handle - 1] != object) handle++;
    if (handle > seen) objects[seen++] = object;
    if (seen == sizeof objects / sizeof *objects) abort();
    pthread_mutex_unlock(&of_objects);
    return handle;
}
static ul inward(ul handle)
{
    pthread_mutex_lock(&of_objects);
    ul object = handle && handle <= seen ? objects[handle - 1] : 0;
    pthread_mutex_unlock(&of_objects);
    return object;
}
static ul slot_inward(ul slot) { return slot - number("slots", 10); }

#define CALL(name, types) ((ul (*) types)real.fn[name])
#define COUNT(name) put("called-" #name, O_APPEND, ".");
#define ANSWER(name) { ul rv = answer("before", #name); if (rv) return rv; }
#define BEFORE(name) COUNT(name) ANSWER(name)
#define UNLESS_REMOVED(name, otherwise) \
    if (is_told("removed")) return otherwise; \
    BEFORE(name)
#define AFTER(name, rv) return rv ? rv : answer("after", #name)

static ul get_slot_list(unsigned char present, ul *slots, ul *n)
{
    BEFORE(GetSlotList)
    if (is_told("removed")) { *n = 0; return 0; }
    ul rv = CALL(GetSlotList, (unsigned char, ul *, ul *))(present, slots, n);
    if (!rv && slots) for (ul i = 0; i < *n; i++) slots[i] += number("slots", 10);
    return rv;
}
static ul get_token_info(ul slot, unsigned char *info)
{
    UNLESS_REMOVED(GetTokenInfo, TOKEN_NOT_PRESENT)
    ul flags, rv = CALL(GetTokenInfo, (ul, void *))(slot_inward(slot), info);
    memcpy(&flags, info + OFFSET_OF_FLAGS, sizeof flags);
    flags |= number("flags", 16);
    memcpy(info + OFFSET_OF_FLAGS, &flags, sizeof flags);
    return rv;
}
static ul get_mechanism_list(ul slot, ul *list, ul *n)
{
    BEFORE(GetMechanismList)
    char lacks[64], name[16];
    ul rv = CALL(GetMechanismList, (ul, ul *, ul *))(slot_inward(slot), list, n), kept = 0;
    told("lacks", lacks, sizeof lacks);
    if (rv || !list) return rv;
    for (ul i = 0; i < *n; i++) {
        snprintf(name, sizeof name, "%lx", list[i]);
        if (!strstr(lacks, name)) list[kept++] = list[i];
    }
    *n = kept;
    return 0;
}
static ul open_session(ul slot, ul flags, void *app, void *notify, ul *session)
{
    UNLESS_REMOVED(OpenSession, TOKEN_NOT_PRESENT)
    ul rv = CALL(OpenSession, (ul, ul, void *, void *, ul *))(slot_inward(slot), flags, app, notify, session);
    if (!rv) put("sessions", O_APPEND, "+");
    return rv;
}
static ul close_session(ul session)
{
    ul rv = CALL(CloseSession, (ul))(session);
    if (!rv) put("sessions", O_APPEND, "-");
    return rv;
}
static ul get_session_info(ul session, ul *info)
{
    BEFORE(GetSessionInfo)
    ul rv = CALL(GetSessionInfo, (ul, void *))(session, info);
    if (!rv) info[0] += number("slots", 10);
    return rv;
}
static ul login(ul session, ul user, void *pin, ul len)
{
    BEFORE(Login)
    if (is_told("renumber")) {
        forget("renumber");
        seen = 0;
    }
    ul rv = CALL(Login, (ul, ul, void *, ul))(session, user, pin, len);
    AFTER(Login, rv);
}
static ul create_object(ul session, void *template, ul n, ul *object)
{
    UNLESS_REMOVED(CreateObject, DEVICE_REMOVED)
    take_time();
    ul rv = CALL(CreateObject, (ul, void *, ul, ul *))(session, template, n, object);
    if (!rv) *object = outward(*object);
    AFTER(CreateObject, rv);
}
static ul destroy_object(ul session, ul object)
{
    UNLESS_REMOVED(DestroyObject, DEVICE_REMOVED)
    ul rv = CALL(DestroyObject, (ul, ul))(session, inward(object));
    AFTER(DestroyObject, rv);
}
static ul get_attribute_value(ul session, ul object, void *template, ul n)
{
    UNLESS_REMOVED(GetAttributeValue, DEVICE_REMOVED)
    return CALL(GetAttributeValue, (ul, ul, void *, ul))(session, inward(object), template, n);
}
static ul find_init(ul session, struct attribute *template, ul n)
{
    static struct attribute nothing = { LABEL, "no label of ours", 16 };
    char hidden[128];
    UNLESS_REMOVED(FindObjectsInit, DEVICE_REMOVED)
    if (is_told("logged-out")) {
        forget("logged-out");
        CALL(Logout, (ul))(session);
    }
    told("hidden", hidden, sizeof hidden);
    for (ul i = 0; i < n; i++)
        if (template[i].type == LABEL && template[i].len == strlen(hidden) &&
            !memcmp(template[i].value, hidden, template[i].len))
            return CALL(FindObjectsInit, (ul, void *, ul))(session, &nothing, 1);
    return CALL(FindObjectsInit, (ul, void *, ul))(session, template, n);
}
static ul find(ul session, ul *found, ul most, ul *n)
{
    ul rv = CALL(FindObjects, (ul, ul *, ul, ul *))(session, found, most, n);
    if (!rv) for (ul i = 0; i < *n; i++) found[i] = outward(found[i]);
    return rv;
}
#define INIT(function, name) \
    static ul function(ul session, void *mechanism, ul key) \
    { \
        UNLESS_REMOVED(name, DEVICE_REMOVED) \
        return CALL(name, (ul, void *, ul))(session, mechanism, inward(key)); \
    }
INIT(encrypt_init, EncryptInit)
INIT(decrypt_init, DecryptInit)
INIT(sign_init, SignInit)
#define WORK(function, name) \
    static ul function(ul session, void *in, ul len, void *out, ul *out_len) \
    { \
        COUNT(name) \
        /* Before that it is asked how long the answer will be. */ \
        if (out) { take_time(); ANSWER(name) } \
        return CALL(name, (ul, void *, ul, void *, ul *))(session, in, len, out, out_len); \
    }
WORK(encrypt, Encrypt)
WORK(decrypt, Decrypt)
static ul sign(ul session, void *in, ul len, void *out, ul *out_len)
{
    BEFORE(Sign)
    return CALL(Sign, (ul, void *, ul, void *, ul *))(session, in, len, out, out_len);
}
static ul generate_key(ul session, void *mechanism, void *template, ul n, ul *key)
{
    UNLESS_REMOVED(GenerateKey, DEVICE_REMOVED)
    take_time();
    ul rv = CALL(GenerateKey, (ul, void *, void *, ul, ul *))(session, mechanism, template, n, key);
    if (!rv) *key = outward(*key);
    AFTER(GenerateKey, rv);
}
static ul wrap_key(ul session, void *mechanism, ul by, ul key, void *out, ul *out_len)
{
    UNLESS_REMOVED(WrapKey, DEVICE_REMOVED)
    return CALL(WrapKey, (ul, void *, ul, ul, void *, ul *))(session, mechanism, inward(by),
                                                            inward(key), out, out_len);
}
static ul unwrap_key(ul session, void *mechanism, ul by, void *in, ul len, void *template, ul n, ul *key)
{
    UNLESS_REMOVED(UnwrapKey, DEVICE_REMOVED)
    ul rv = CALL(UnwrapKey, (ul, void *, ul, void *, ul, void *, ul, ul *))(
        session, mechanism, inward(by), in, len, template, n, key);
    if (!rv) *key = outward(*key);
    return rv;
}

ul C_GetFunctionList(struct list **list)
{
    void *library = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
    ul (*get)(struct list **) = 0;
    struct list *theirs;
    if (library) *(void **)&get = dlsym(library, "C_GetFunctionList");
    if (!get || get(&theirs)) return 5;
    real = ours = *theirs;
    ours.fn[GetFunctionList] = C_GetFunctionList;
    ours.fn[GetSlotList] = get_slot_list;
    ours.fn[GetTokenInfo] = get_token_info;
    ours.fn[GetMechanismList] = get_mechanism_list;
    ours.fn[OpenSession] = open_session;
    ours.fn[CloseSession] = close_session;
    ours.fn[GetSessionInfo] = get_session_info;
    ours.fn[Login] = login;
    ours.fn[CreateObject] = create_object;
    ours.fn[DestroyObject] = destroy_object;
    ours.fn[GetAttributeValue] = get_attribute_value;
    ours.fn[FindObjectsInit] = find_init;
    ours.fn[FindObjects] = find;
    ours.fn[EncryptInit] = encrypt_init;
    ours.fn[Encrypt] = encrypt;
    ours.fn[DecryptInit] = decrypt_init;
    ours.fn[Decrypt] = decrypt;
    ours.fn[SignInit] = sign_init;
    ours.fn[Sign] = sign;
    ours.fn[GenerateKey] = generate_key;
    ours.fn[WrapKey] = wrap_key;
    ours.fn[UnwrapKey] = unwrap_key;
    *list = &ours;
    return 0;
}
