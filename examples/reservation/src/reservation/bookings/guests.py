"""The guests that the file does not have: made up from the row's number, the same every time."""

from reservation.bookings.file import BookingRow

FIRST = (
    "Ana Beatriz Carlos Diogo Eva Filipe Graça Henrique Inês João Katarzyna Luísa Miguel Nadia "
    "Olga Pedro Quirina Rui Sofia Tomás Ursula Vasco Wanda Xavier Yara Zoë Aoife Björn Chloé "
    "Dmitri Élise Farid Giulia Hélène Igor Jonas Kemal"
).split()
LAST = (
    "Almeida Barbosa Carvalho Duarte Esteves Ferreira Gonçalves Henriques Iglesias Jardim Krüger "
    "Lopes Marques Nogueira O'Brien Pereira Queirós Ribeiro Santos Teixeira Ulrich Vieira "
    "Wiśniewski Xu Yilmaz Zimmermann Ångström Bianchi Costa Dubois Eriksen"
).split()


def guest(booking: BookingRow) -> str:
    """A person; with children or babies a family; with a company, or its segment, a business."""
    first = FIRST[booking.row * 7 % len(FIRST)]
    last = LAST[booking.row * 11 % len(LAST)]
    if booking.company is not None:
        return f"{first} {last}, company {booking.company}"
    if booking.segment == "Corporate":
        return f"{first} {last}, on business"
    if booking.party.children or booking.party.babies:
        return f"{first} {last} and family"
    return f"{first} {last}"
